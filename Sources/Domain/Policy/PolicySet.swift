/// The rules of one layer, all files together, compiled.
public struct PolicySet: Sendable {
    public let rules: [PolicyRule]
    /// nil: the layer says nothing of hosts.
    public let egress: EgressRules?
    /// Names the rules that decided, in logs and in the audit log: `sha256:…` over the files.
    public let hash: String
    private let index: PolicyIndex
    private let names: CompiledNames
    private let terms: [Terms]
    private let ids: [String]

    /// What a rule comes to where it matches, apart from the rule: that is many references, and to touch it counts them all.
    private struct Terms: Sendable {
        let effect: PolicyEffect
        let limits: PolicyLimits
        let approvalSeconds: Int
        /// It looks at more than targets and names.
        let isConditional: Bool

        init(_ rule: PolicyRule) {
            effect = rule.effect
            limits = rule.limits
            approvalSeconds = rule.approvalSeconds ?? Limits.defaultApprovalSeconds
            isConditional = rule.devices != nil || rule.when != nil
        }
    }

    public init(rules: [PolicyRule], egress: EgressRules? = nil, hash: String) {
        self.rules = rules
        self.egress = egress
        self.hash = hash
        index = PolicyIndex(rules)
        names = CompiledNames(rules)
        terms = rules.map(Terms.init)
        ids = rules.map(\.id)
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
        var matching: [Int] = []
        var denying: [Int] = []
        var undecided: [Int] = []
        for position in names.fits(question, among: index.candidates(question)) {
            let terms = terms[position]
            switch terms.isConditional ? rules[position].matchBeyondNames(question, &inquiry) : .yes {
            case .no: break
            case .undecided: undecided.append(position)
            case .possible: if terms.effect != .deny { matching.append(position) }
            case .yes: if terms.effect == .deny { denying.append(position) } else { matching.append(position) }
            }
        }
        if !denying.isEmpty { return Opinion(effect: .deny, reason: .rule, rules: denying.map { ids[$0] }) }
        if !undecided.isEmpty { return Opinion(effect: .deny, reason: .conditionUndecided, rules: undecided.map { ids[$0] }) }
        return matching.isEmpty ? nil : opinion(of: matching)
    }

    /// Of rules that let the call through, or may.
    private func opinion(of matching: [Int]) -> Opinion {
        let effect = matching.contains { terms[$0].effect == .requireApproval } ? PolicyEffect.requireApproval : .allow
        var opinion = Opinion(effect: effect, reason: .rule, rules: [])
        for position in matching {
            let terms = terms[position]
            if terms.effect == effect { opinion.rules.append(ids[position]) }
            opinion.limits = opinion.limits.narrowed(by: terms.limits)
            if terms.limits.perRun != nil || terms.limits.perMinute != nil {
                opinion.counted.append(
                    CountedRule(rule: ids[position], perRun: terms.limits.perRun, perMinute: terms.limits.perMinute))
            }
            if terms.effect == .requireApproval {
                opinion.approvalSeconds = PolicyLimits.smaller(opinion.approvalSeconds, terms.approvalSeconds)
            }
        }
        return opinion
    }
}
