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
    private let bounds: [Bounds]
    private let ids: [String]

    /// What a rule comes to where it matches, apart from the rule: that is many references, and to touch it counts them all.
    private struct Terms: Sendable {
        let effect: PolicyEffect
        /// It looks at more than targets and names.
        let isConditional: Bool
        /// It lets through whatever its targets and names fit.
        var isPlain: Bool { effect != .deny && !isConditional }
        /// Its place in `bounds`, where it says more than its effect.
        let bounds: Int?
    }

    /// What a rule that lets a call through asks beside. Numbers that are not set are `Int.max`, so that the least of many costs no questions.
    private struct Bounds: Sendable {
        var perRun: Int
        var perMinute: Int
        var timeoutSeconds: Int
        var maxResultBytes: Int
        var approvalSeconds: Int

        static let none = Bounds(.none, approvalSeconds: nil)

        init(_ limits: PolicyLimits, approvalSeconds: Int?) {
            perRun = limits.perRun ?? .max
            perMinute = limits.perMinute ?? .max
            timeoutSeconds = limits.timeoutSeconds ?? .max
            maxResultBytes = limits.maxResultBytes ?? .max
            self.approvalSeconds = approvalSeconds ?? .max
        }

        mutating func narrow(by other: Bounds) {
            perRun = min(perRun, other.perRun)
            perMinute = min(perMinute, other.perMinute)
            timeoutSeconds = min(timeoutSeconds, other.timeoutSeconds)
            maxResultBytes = min(maxResultBytes, other.maxResultBytes)
            approvalSeconds = min(approvalSeconds, other.approvalSeconds)
        }

        var isCounted: Bool { perRun != .max || perMinute != .max }

        var limits: PolicyLimits {
            PolicyLimits(
                perRun: Self.value(perRun), perMinute: Self.value(perMinute), timeoutSeconds: Self.value(timeoutSeconds),
                maxResultBytes: Self.value(maxResultBytes))
        }

        static func value(_ bound: Int) -> Int? { bound == .max ? nil : bound }
    }

    public init(rules: [PolicyRule], egress: EgressRules? = nil, hash: String) {
        self.rules = rules
        self.egress = egress
        self.hash = hash
        index = PolicyIndex(rules)
        names = CompiledNames(rules)
        var bounds: [Bounds] = []
        terms = rules.map { rule in
            let asks = rule.effect == .requireApproval
            let isBound = asks || rule.limits != .none
            if isBound {
                bounds.append(
                    Bounds(rule.limits, approvalSeconds: asks ? rule.approvalSeconds ?? Limits.defaultApprovalSeconds : nil))
            }
            return Terms(
                effect: rule.effect, isConditional: rule.devices != nil || rule.when != nil, bounds: isBound ? bounds.count - 1 : nil)
        }
        self.bounds = bounds
        ids = rules.map(\.id)
    }

    /// What the rules of one layer come to; nil when none matches.
    struct Opinion: Sendable {
        var effect: PolicyEffect
        var reason: PolicyReason
        var rules: RuleNames
        var limits = PolicyLimits.none
        var counted: [CountedRule] = []
        var approvalSeconds: Int?
    }

    /// What may match counts where it makes the answer milder (allow) or asks a person, never as a denial: whoever asks before
    /// everything is known asks again when it is.
    func opinion(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> Opinion? {
        let fitting = names.fits(question, among: index.candidates(question))
        if fitting.allSatisfy({ terms[$0].isPlain }) { return fitting.isEmpty ? nil : opinion(of: fitting) }
        var matching: [Int] = []
        var denying: [Int] = []
        var undecided: [Int] = []
        terms.withUnsafeBufferPointer { terms in
            for position in fitting {
                let isDenial = terms[position].effect == .deny
                switch terms[position].isConditional ? rules[position].matchBeyondNames(question, &inquiry) : .yes {
                case .no: continue
                case .undecided: undecided.append(position)
                case .possible where isDenial: continue
                case .yes where isDenial: denying.append(position)
                case .possible, .yes: matching.append(position)
                }
            }
        }
        if !denying.isEmpty { return Opinion(effect: .deny, reason: .rule, rules: RuleNames(denying, of: ids)) }
        if !undecided.isEmpty { return Opinion(effect: .deny, reason: .conditionUndecided, rules: RuleNames(undecided, of: ids)) }
        return matching.isEmpty ? nil : opinion(of: matching)
    }

    /// Of rules that let the call through, or may.
    private func opinion(of matching: [Int]) -> Opinion {
        let bounding = matching.filter { terms[$0].bounds != nil }
        // Whoever asks a person has bounds: how long that person has.
        let effect = bounding.contains { terms[$0].effect == .requireApproval } ? PolicyEffect.requireApproval : .allow
        var counted: [CountedRule] = []
        var narrowest = Bounds.none
        for position in bounding {
            guard let place = terms[position].bounds else { continue }
            let bounds = bounds[place]
            narrowest.narrow(by: bounds)
            if bounds.isCounted {
                counted.append(
                    CountedRule(rule: ids[position], perRun: Bounds.value(bounds.perRun), perMinute: Bounds.value(bounds.perMinute)))
            }
        }
        // Where a person is asked, the rules that merely allow did not decide.
        let deciding = effect == .allow ? matching : matching.filter { terms[$0].effect == effect }
        return Opinion(
            effect: effect, reason: .rule, rules: RuleNames(deciding, of: ids), limits: narrowest.limits, counted: counted,
            approvalSeconds: Bounds.value(narrowest.approvalSeconds))
    }
}

/// Rules of a set by their positions; their names are put together when somebody asks, for each is a reference to count.
struct RuleNames: Sendable {
    private let positions: [Int]
    private let ids: [String]

    static let none = RuleNames([], of: [])

    init(_ positions: [Int], of ids: [String]) {
        self.positions = positions
        self.ids = ids
    }

    func first(_ count: Int) -> [String] { positions.prefix(count).map { ids[$0] } }
}
