/// Why a decision came out as it did.
public enum PolicyReason: String, Sendable, Hashable {
    /// Rules said so; they are named.
    case rule
    case noRuleMatched = "no_rule_matched"
    /// A `when`, or all of them together, reached a bound: nobody knows what the rule would have said, so the call is denied.
    case conditionUndecided = "condition_undecided"
}

public struct PolicyDecision: Sendable, Hashable {
    public let effect: PolicyEffect
    public let reason: PolicyReason
    /// The rules that decided, of both layers.
    public let rules: [String]
    /// Of all rules that let the call through.
    public let limits: PolicyLimits
    public let counted: [CountedRule]
    /// How long a person has to decide; nil unless the effect is `requireApproval`.
    public let approvalSeconds: Int?
    /// Of the policies that decided.
    public let policyHash: String

    public var isDenied: Bool { effect == .deny }

    /// What the model and the API are told: a stable code.
    public var code: String { reason == .rule ? "denied_by_policy" : reason.rawValue }
}

/// The operator's folder and a tenant's own layer, as one. The folder is the ceiling: what it does not allow is denied, and the tenant's
/// layer can only narrow it.
public struct EffectivePolicies: Sendable {
    public let folder: PolicySet
    /// nil: the tenant has no policies of its own.
    public let tenant: PolicySet?

    public init(folder: PolicySet, tenant: PolicySet? = nil) {
        self.folder = folder
        self.tenant = tenant
    }

    public var hash: String { Self.hash(folder: folder.hash, tenant: tenant?.hash) }

    /// Of both layers, where there are two.
    public static func hash(folder: String, tenant: String?) -> String { tenant.map { "\(folder)+\($0)" } ?? folder }

    public func decide(_ question: PolicyQuestion) -> PolicyDecision {
        var inquiry = PolicyInquiry()
        return decide(question, &inquiry)
    }

    /// One of several questions about one call.
    public func decide(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> PolicyDecision {
        guard let ceiling = folder.opinion(question, &inquiry) else { return denied(.noRuleMatched, []) }
        let own = tenant?.opinion(question, &inquiry)
        if ceiling.effect == .deny { return denied(ceiling.reason, ceiling.rules) }
        if let own, own.effect == .deny { return denied(own.reason, own.rules) }
        let effect = max(ceiling.effect, own?.effect ?? .allow)
        // Of a layer that is milder than the decision no rule decided.
        let rules = effect == .allow || ceiling.effect == effect ? ceiling.rules : []
        return PolicyDecision(
            effect: effect, reason: .rule,
            rules: own.map { effect == .allow || $0.effect == effect ? rules + $0.rules : rules } ?? rules,
            limits: ceiling.limits.narrowed(by: own?.limits ?? .none), counted: ceiling.counted + (own?.counted ?? []),
            approvalSeconds: effect == .requireApproval ? PolicyLimits.smaller(ceiling.approvalSeconds, own?.approvalSeconds) : nil,
            policyHash: hash)
    }

    private func denied(_ reason: PolicyReason, _ rules: [String]) -> PolicyDecision {
        PolicyDecision(
            effect: .deny, reason: reason, rules: rules, limits: .none, counted: [], approvalSeconds: nil, policyHash: hash)
    }
}
