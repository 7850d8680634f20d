import Cryptography
import Domain
import JSON
import Storage

/// A tenant's own policies as one layer.
struct TenantLayer: Sendable {
    let set: PolicySet
    /// About what it takes in memory.
    let bytes: Int

    /// What is stored was checked when it was put there. Should a later version of the gateway not know it any more, the layer denies
    /// everything: what was narrowed must not become wide. nil: the tenant has none.
    init?(_ records: [TenantPolicyRecord]) {
        guard !records.isEmpty else { return nil }
        var rules: [PolicyRule] = []
        var egress: [EgressRules] = []
        var conditionBytes = 0
        var isReadable = true
        for record in records {
            do {
                let document = try PolicyDocument(
                    reading: record.document.document().root, prefix: Self.prefix(record.name),
                    maxConditionBytes: Limits.maxStoredConditionBytes - conditionBytes)
                conditionBytes += document.conditionBytes
                rules += document.rules
                if let own = document.egress { egress.append(own) }
            } catch {
                rules.append(PolicyRule(id: Self.prefix(record.name) + "unreadable", effect: .deny))
                isReadable = false
            }
        }
        let merged =
            !isReadable
            ? .nothing
            : egress.isEmpty
                ? nil
                : EgressRules(
                    byDefault: egress.contains { $0.byDefault == .deny } ? .deny : .public, allowances: egress.flatMap(\.allowances))
        set = PolicySet(rules: rules, egress: merged, hash: Self.hash(of: records) ?? "")
        // Rules and names beside the conditions, measured generously.
        bytes = conditionBytes + records.reduce(0) { $0 + $1.document.bytes.count * 8 }
    }

    /// Names the layer without reading it; nil: the tenant has none.
    static func hash(of records: [TenantPolicyRecord]) -> String? {
        guard !records.isEmpty else { return nil }
        let text = records.map { "\($0.name) \($0.hash)" }.joined(separator: "\n")
        return "sha256:" + Hex.encode(SHA256.hash(Array(text.utf8)))
    }

    /// Names of policies have no slash, so a tenant's rule is never taken for the operator's.
    static func prefix(_ name: String) -> String { "tenant/\(name)/" }
}
