/// Why a decision came out as it did.
public enum PolicyReason: String, Sendable, Hashable {
    /// Rules said so; they are named.
    case rule
    case noRuleMatched = "no_rule_matched"
    /// A `when`, or all of them together, reached a bound: nobody knows what the rule would have said, so the call is denied.
    case conditionUndecided = "condition_undecided"
}

public struct PolicyDecision: Sendable {
    public let effect: PolicyEffect
    public let reason: PolicyReason
    private let ofFolder: RuleNames
    private let ofTenant: RuleNames
    /// Of all rules that let the call through.
    public let limits: PolicyLimits
    public let counted: [CountedRule]
    /// How long a person has to decide; nil unless the effect is `requireApproval`.
    public let approvalSeconds: Int?
    /// Of the policies that decided.
    public let policyHash: String

    init(
        _ effect: PolicyEffect, _ reason: PolicyReason, ofFolder: RuleNames = .none, ofTenant: RuleNames = .none,
        limits: PolicyLimits = .none, counted: [CountedRule] = [], approvalSeconds: Int? = nil, policyHash: String
    ) {
        self.effect = effect
        self.reason = reason
        self.ofFolder = ofFolder
        self.ofTenant = ofTenant
        self.limits = limits
        self.counted = counted
        self.approvalSeconds = approvalSeconds
        self.policyHash = policyHash
    }

    public var isDenied: Bool { effect == .deny }

    /// The rules that decided, of both layers.
    public var rules: [String] { first(.max) }

    /// The first of them, as many as a record may name: to name thousands takes longer than to decide.
    public var namedRules: [String] { first(Limits.maxAuditedRules) }

    private func first(_ count: Int) -> [String] {
        let first = ofFolder.first(count)
        return first.count < count ? first + ofTenant.first(count - first.count) : first
    }

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
        guard let ceiling = folder.opinion(question, &inquiry) else { return PolicyDecision(.deny, .noRuleMatched, policyHash: hash) }
        let own = tenant?.opinion(question, &inquiry)
        if ceiling.effect == .deny { return PolicyDecision(.deny, ceiling.reason, ofFolder: ceiling.rules, policyHash: hash) }
        if let own, own.effect == .deny { return PolicyDecision(.deny, own.reason, ofTenant: own.rules, policyHash: hash) }
        let effect = max(ceiling.effect, own?.effect ?? .allow)
        // Of a layer that is milder than the decision no rule decided.
        func deciding(_ opinion: PolicySet.Opinion?) -> RuleNames {
            opinion.map { effect == .allow || $0.effect == effect ? $0.rules : .none } ?? .none
        }
        return PolicyDecision(
            effect, .rule, ofFolder: deciding(ceiling), ofTenant: deciding(own),
            limits: ceiling.limits.narrowed(by: own?.limits ?? .none), counted: ceiling.counted + (own?.counted ?? []),
            approvalSeconds: effect == .requireApproval ? PolicyLimits.smaller(ceiling.approvalSeconds, own?.approvalSeconds) : nil,
            policyHash: hash)
    }
}
