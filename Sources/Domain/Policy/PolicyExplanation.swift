/// What one rule had to say to a question, for people.
public struct RuleExplanation: Sendable, Hashable {
    public enum Layer: String, Sendable { case folder, tenant }

    public enum Result: String, Sendable {
        case matched
        /// It hangs on what is not known yet: arguments, or the device.
        case possible
        case notMatched = "not_matched"
        case undecided
    }

    public let rule: String
    public let layer: Layer
    public let effect: PolicyEffect
    public let result: Result
    /// A sentence.
    public let because: String
}

extension EffectivePolicies {
    /// Every rule looked at, in order, and why it matched or not. The rules that a decision would not look at spend of the same budget.
    public func explain(_ question: PolicyQuestion) -> [RuleExplanation] {
        var inquiry = PolicyInquiry()
        return explain(question, &inquiry)
    }

    /// The same after a decision about it: what that found out is known.
    public func explain(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> [RuleExplanation] {
        var explanations: [RuleExplanation] = []
        for rule in folder.rules { explanations.append(rule.explanation(question, .folder, &inquiry)) }
        for rule in tenant?.rules ?? [] { explanations.append(rule.explanation(question, .tenant, &inquiry)) }
        return explanations
    }
}

extension PolicyRule {
    fileprivate func explanation(
        _ question: PolicyQuestion, _ layer: RuleExplanation.Layer, _ inquiry: inout PolicyInquiry
    ) -> RuleExplanation {
        let (result, because) =
            switch match(question, &inquiry) {
            case .yes: (RuleExplanation.Result.matched, matchedText(question))
            case .possible(let part): (.possible, possibleText(part))
            case .no(let part): (.notMatched, mismatchText(part, question, &inquiry))
            case .undecided: (.undecided, "when reached a bound on these arguments, so the call is denied")
            }
        return RuleExplanation(rule: id, layer: layer, effect: effect, result: result, because: because)
    }

    private func matchedText(_ question: PolicyQuestion) -> String {
        var parts: [String] = []
        if targets != nil { parts.append("target \(question.target.rawValue) is listed") }
        if let glob = tools?.first(where: { $0.matches(question.tool) }) { parts.append("tool \(question.tool) is \(glob.pattern)") }
        if let glob = tenants?.first(where: { $0.matches(question.tenantSlug) }) {
            parts.append("tenant \(question.tenantSlug) is \(glob.pattern)")
        }
        if let glob = agents?.first(where: { $0.matches(question.agentName) }) {
            parts.append("agent \(question.agentName) is \(glob.pattern)")
        }
        if devices != nil { parts.append("the device has the labels") }
        if when != nil { parts.append("the arguments fit when") }
        return parts.isEmpty ? "it narrows nothing" : parts.joined(separator: ", ")
    }

    private func possibleText(_ part: Part) -> String {
        part == .devices ? "it hangs on the labels of the device that will be asked" : "it hangs on the arguments, which are not known yet"
    }

    private func mismatchText(_ part: Part, _ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> String {
        func list(_ globs: [Glob]?) -> String { (globs ?? []).map(\.pattern).joined(separator: ", ") }
        return switch part {
        case .targets:
            "target \(question.target.rawValue) is not among \((targets ?? []).map(\.rawValue).sorted().joined(separator: ", "))"
        case .tools: "tool \(question.tool) is none of \(list(tools))"
        case .tenants: "tenant \(question.tenantSlug) is none of \(list(tenants))"
        case .agents: "agent \(question.agentName) is none of \(list(agents))"
        case .devices:
            question.target == .device
                ? "the device does not have the labels \(labelsText)" : "it is for devices, and the target is \(question.target.rawValue)"
        case .when: conditionText(question, &inquiry)
        }
    }

    private func conditionText(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> String {
        guard let when, let arguments = question.arguments else { return "the arguments do not fit" }
        let fault = inquiry.fault(when, on: arguments)
        return fault.isEmpty ? "the arguments do not fit" : fault
    }

    private var labelsText: String {
        (devices?.labels ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.pattern)" }.joined(separator: ", ")
    }
}
