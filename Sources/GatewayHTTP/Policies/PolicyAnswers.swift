import Domain
import JSON
import Runtime
import Storage

extension TenantPolicyRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("name", string: name)
        writer.field("hash", string: hash)
        writer.field("revision", int: revision)
        writer.field("policy", raw: document)
        writer.field("createdAt", time: createdAt)
        writer.field("updatedAt", time: updatedAt)
    }
}

extension PolicyDecision {
    func write(to writer: inout JSONWriter) {
        writer.field("decision", string: effect.rawValue)
        writer.field("reason", string: reason.rawValue)
        writer.field("rules", strings: rules)
        writer.field("policyHash", string: policyHash)
        writer.field("limits", raw: limits.json)
        if let approvalSeconds {
            writer.field("approval", raw: .object { $0.field("expiresSeconds", int: approvalSeconds) })
        }
    }
}

extension RuleExplanation {
    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("rule", string: rule)
        writer.field("layer", string: layer.rawValue)
        writer.field("effect", string: effect.rawValue)
        writer.field("result", string: result.rawValue)
        writer.field("because", string: because)
        writer.endObject()
    }
}
