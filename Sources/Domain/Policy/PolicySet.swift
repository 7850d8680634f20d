/// The rules of one layer, all files together, compiled.
public struct PolicySet: Sendable {
    public let rules: [PolicyRule]
    /// nil: the layer says nothing of hosts.
    public let egress: EgressRules?
    /// Names the rules that decided, in logs and in the audit log: `sha256:…` over the files.
    public let hash: String
    private let index: PolicyIndex

    public init(rules: [PolicyRule], egress: EgressRules? = nil, hash: String) {
        self.rules = rules
        self.egress = egress
        self.hash = hash
        index = PolicyIndex(rules)
    }

    /// What the rules of one layer come to; nil when none matches.
    struct Opinion: Sendable {
        var effect: PolicyEffect
        var reason: PolicyReason
        var rules: [String]
        var limits = PolicyLimits.none
        var counted: [CountedRule] = []
        var approvalSeconds: Int?
    }

    /// What may match counts where it makes the answer milder (allow) or asks a person, never as a denial: whoever asks before
    /// everything is known asks again when it is.
    func opinion(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> Opinion? {
        var matching: [PolicyRule] = []
        var denying: [String] = []
        var undecided: [String] = []
        for position in index.candidates(question) {
            let rule = rules[position]
            switch rule.match(question, &inquiry) {
            case .no: continue
            case .undecided: undecided.append(rule.id)
            case .possible: if rule.effect != .deny { matching.append(rule) }
            case .yes: if rule.effect == .deny { denying.append(rule.id) } else { matching.append(rule) }
            }
        }
        if !denying.isEmpty { return Opinion(effect: .deny, reason: .rule, rules: denying) }
        if !undecided.isEmpty { return Opinion(effect: .deny, reason: .conditionUndecided, rules: undecided) }
        guard let effect = matching.map(\.effect).max() else { return nil }
        var opinion = Opinion(effect: effect, reason: .rule, rules: matching.filter { $0.effect == effect }.map(\.id))
        for rule in matching {
            opinion.limits = opinion.limits.narrowed(by: rule.limits)
            if rule.limits.perRun != nil || rule.limits.perMinute != nil {
                opinion.counted.append(CountedRule(rule: rule.id, perRun: rule.limits.perRun, perMinute: rule.limits.perMinute))
            }
            if rule.effect == .requireApproval {
                opinion.approvalSeconds = PolicyLimits.smaller(
                    opinion.approvalSeconds, rule.approvalSeconds ?? Limits.defaultApprovalSeconds)
            }
        }
        return opinion
    }
}
