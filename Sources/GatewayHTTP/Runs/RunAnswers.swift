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
    /// - Parameter isForPage: leaves out what concerns the tenant's own systems.
    func write(to writer: inout JSONWriter, isForPage: Bool = false) {
        writer.field("callId", string: callID.description)
        writer.field("runId", string: runID.description)
        writer.field("providerCallId", string: providerCallID)
        writer.field("tool", string: tool)
        writer.field("target", string: target.rawValue)
        writer.field("args", raw: arguments)
        writer.field("status", string: status.rawValue)
        writer.field("device", rawIfPresent: selector)
        writer.field("deviceId", stringIfPresent: deviceID?.description)
        writer.field("childRunId", stringIfPresent: childRunID?.description)
        writer.field("attempts", int: attempts)
        if !isForPage { writer.field("delivery", rawIfPresent: delivery?.json) }
        writer.field("createdAt", time: createdAt)
        writer.field("deadline", time: deadlineAt)
        writer.field("finishedAt", timeIfPresent: finishedAt)
        writer.field("source", stringIfPresent: source?.rawValue)
        writer.field("result", rawIfPresent: result)
        writer.field("error", rawIfPresent: error)
    }
}
