import Domain
import JSON
import Storage

extension ApprovalRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("runId", string: runID.description)
        writer.field("callId", string: callID.description)
        writer.field("status", string: status.rawValue)
        writer.field("agentName", string: agentName)
        writer.field("tool", string: tool)
        writer.field("target", string: target.rawValue)
        writer.field("args", raw: arguments)
        writer.field("callHash", string: callHash)
        writer.field("rules", raw: rules)
        writer.field("requestedAt", time: requestedAt)
        writer.field("expiresAt", time: expiresAt)
        writer.field("decidedAt", timeIfPresent: decidedAt)
    }
}
