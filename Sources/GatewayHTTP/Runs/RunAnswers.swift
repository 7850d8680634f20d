import Domain
import JSON
import Storage

extension RunRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("runId", string: runID.description)
        writer.field("agentId", string: agentID.description)
        writer.field("agentName", string: agentName)
        writer.field("agentVersionId", string: versionID.description)
        writer.field("previousRunId", stringIfPresent: previousRunID?.description)
        writer.field("parent", rawIfPresent: parent?.json)
        writer.field("status", string: status.rawValue)
        writer.field("lastSeq", int: Int(lastSeq))
        writer.key("usage")
        usage.write(to: &writer)
        writer.field("error", rawIfPresent: error?.json)
        writer.field("metadata", rawIfPresent: metadata)
        writer.field("createdAt", time: createdAt)
        writer.field("startedAt", timeIfPresent: startedAt)
        writer.field("finishedAt", timeIfPresent: finishedAt)
        writer.field("deadlineAt", time: deadlineAt)
    }
}

extension RunOrigin {
    fileprivate var json: RawJSON {
        RawJSON.object { writer in
            writer.field("runId", string: runID.description)
            writer.field("callId", string: callID.description)
            writer.field("depth", int: depth)
        }
    }
}

extension ToolCallRecord.FailedDelivery {
    fileprivate var json: RawJSON {
        RawJSON.object { writer in
            writer.field("attempts", int: attempts)
            writer.field("lastError", string: lastError)
            writer.field("nextAttemptAt", timeIfPresent: nextAttemptAt)
        }
    }
}

extension ToolCallRecord {
    func write(to writer: inout JSONWriter) {
        PageCall(self).write(to: &writer)
        writer.field("delivery", rawIfPresent: delivery?.json)
    }
}

/// A call as a page sees it: without what concerns the tenant's own systems.
struct PageCall {
    private let call: ToolCallRecord

    init(_ call: ToolCallRecord) { self.call = call }

    func write(to writer: inout JSONWriter) {
        writer.field("callId", string: call.callID.description)
        writer.field("runId", string: call.runID.description)
        writer.field("providerCallId", string: call.providerCallID)
        writer.field("tool", string: call.tool)
        writer.field("target", string: call.target.rawValue)
        writer.field("args", raw: call.arguments)
        writer.field("status", string: call.status.rawValue)
        writer.field("device", rawIfPresent: call.selector)
        writer.field("deviceId", stringIfPresent: call.deviceID?.description)
        writer.field("childRunId", stringIfPresent: call.childRunID?.description)
        writer.field("attempts", int: call.attempts)
        writer.field("createdAt", time: call.createdAt)
        writer.field("deadline", time: call.deadlineAt)
        writer.field("finishedAt", timeIfPresent: call.finishedAt)
        writer.field("source", stringIfPresent: call.source?.rawValue)
        writer.field("result", rawIfPresent: call.result)
        writer.field("error", rawIfPresent: call.error)
    }
}
