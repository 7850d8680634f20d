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

/// What an answer to a delivery means.
public enum DeliveryAnswer: Sendable, Hashable {
    case outcome(ToolOutcome)
    /// 202: the result comes later.
    case accepted
    /// The next attempt follows; the text is for logs, the seconds are what the system asked for.
    case retry(String, afterSeconds: Int?)

    /// 200 is the result or `{"error":{…}}`, 204 a result of null, 202 a promise; 410 ends the attempts, anything else does not.
    public static func reading(status: Int, body: [UInt8], isCut: Bool) -> DeliveryAnswer {
        switch status {
        case 202: return .accepted
        case 204: return .outcome(.result(.null, source: .external))
        case 200: return .outcome(outcome(body, isCut: isCut))
        case 410:
            return .outcome(
                .failed(
                    ToolError(code: "external_gone", message: "The tool's system answered 410: it is there no more."), source: .external))
        default: return .retry("answered \(status)", afterSeconds: nil)
        }
    }

    private static func outcome(_ body: [UInt8], isCut: Bool) -> ToolOutcome {
        guard !body.isEmpty else { return .result(.null, source: .external) }
        if !isCut, let document = try? JSONDocument(parsing: body) {
            if document.root.kind == .object, document.root.count == 1, let error = document.root["error"] {
                let read = try? ToolError(reading: error, at: "")
                return .failed(read ?? ToolError(code: "tool_failed", message: ResultCut.fit(error.rawJSON).string), source: .external)
            }
            return .result(ResultCut.fit(document.root.rawJSON.compacted()), source: .external)
        }
        guard let text = ResultCut.text(body[...], isCut: isCut) else {
            return .failed(
                ToolError(code: "not_text", message: "The tool's system answered with something that is no text."), source: .external)
        }
        return .result(ResultCut.fit(ResultCut.string(text), isCut: isCut), source: .external)
    }
}
