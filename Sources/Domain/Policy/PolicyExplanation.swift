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
    /// Every rule looked at, in order, and why it matched or not.
    public func explain(_ question: PolicyQuestion) -> [RuleExplanation] {
        folder.rules.map { $0.explanation(question, .folder) } + (tenant?.rules ?? []).map { $0.explanation(question, .tenant) }
    }
}

extension PolicyRule {
    fileprivate func explanation(_ question: PolicyQuestion, _ layer: RuleExplanation.Layer) -> RuleExplanation {
        let (result, because) =
            switch match(question) {
            case .yes: (RuleExplanation.Result.matched, matchedText(question))
            case .possible(let part): (.possible, possibleText(part))
            case .no(let part): (.notMatched, mismatchText(part, question))
            case .undecided: (.undecided, "a pattern of when reached its bound on these arguments, so the call is denied")
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

    private func mismatchText(_ part: Part, _ question: PolicyQuestion) -> String {
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
        case .when: "\(question.arguments.flatMap { when?.fault($0) } ?? "the arguments do not fit")"
        }
    }

    private var labelsText: String {
        (devices?.labels ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.pattern)" }.joined(separator: ", ")
    }
}
