public import JSON

/// What is posted to an external tool.
public struct ExternalCall: Sendable {
    public let runID: RunID
    public let callID: CallID
    public let tool: String
    public let arguments: RawJSON
    public let agentName: String
    public let deadlineAt: Timestamp
    public let resultURL: String
    public let resultToken: String

    public init(
        runID: RunID, callID: CallID, tool: String, arguments: RawJSON, agentName: String, deadlineAt: Timestamp, resultURL: String,
        resultToken: String
    ) {
        self.runID = runID
        self.callID = callID
        self.tool = tool
        self.arguments = arguments
        self.agentName = agentName
        self.deadlineAt = deadlineAt
        self.resultURL = resultURL
        self.resultToken = resultToken
    }

    public var json: RawJSON {
        RawJSON.object { writer in
            writer.field("runId", string: runID.description)
            writer.field("callId", string: callID.description)
            writer.field("tool", string: tool)
            writer.field("args", raw: arguments)
            writer.field("agent", string: agentName)
            writer.field("deadline", string: deadlineAt.description)
            writer.field("resultUrl", string: resultURL)
            writer.field("resultToken", string: resultToken)
        }
    }
}
