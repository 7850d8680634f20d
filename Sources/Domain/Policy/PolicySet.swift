public enum PolicyEffect: String, Sendable, Hashable {
    case allow, deny
}

/// One rule of a policy file. An absent list matches everything.
public struct PolicyRule: Sendable, Hashable {
    public let id: String
    public let tenants: [Glob]?
    public let agents: [Glob]?
    public let targets: Set<ToolTarget>?
    public let tools: [Glob]?
    public let effect: PolicyEffect

    public init(id: String, tenants: [Glob]?, agents: [Glob]?, targets: Set<ToolTarget>?, tools: [Glob]?, effect: PolicyEffect) {
        self.id = id
        self.tenants = tenants
        self.agents = agents
        self.targets = targets
        self.tools = tools
        self.effect = effect
    }

    func matches(_ question: PolicyQuestion) -> Bool {
        (targets?.contains(question.target) ?? true)
            && (tenants?.contains { $0.matches(question.tenantSlug) } ?? true)
            && (agents?.contains { $0.matches(question.agentName) } ?? true)
            && (tools?.contains { $0.matches(question.tool) } ?? true)
    }
}

public struct PolicyQuestion: Sendable, Hashable {
    public let tenantSlug: String
    public let agentName: String
    public let target: ToolTarget
    public let tool: String

    public init(tenantSlug: String, agentName: String, target: ToolTarget, tool: String) {
        self.tenantSlug = tenantSlug
        self.agentName = agentName
        self.target = target
        self.tool = tool
    }
}

public struct PolicyDecision: Sendable, Hashable {
    public let effect: PolicyEffect
    /// `rule` or `no_rule_matched`.
    public let reason: String
    public let ruleIDs: [String]

    public var isAllowed: Bool { effect == .allow }
}

/// The operator's rules, all files together. deny beats allow; where nothing matches, the answer is deny.
public struct PolicySet: Sendable, Hashable {
    public let rules: [PolicyRule]
    /// Names the rules that decided, in logs: `sha256:…` over the files.
    public let hash: String

    public init(rules: [PolicyRule], hash: String) {
        self.rules = rules
        self.hash = hash
    }

    public static let denyAll = PolicySet(rules: [], hash: "none")

    public func decide(_ question: PolicyQuestion) -> PolicyDecision {
        var allowing: [String] = []
        var denying: [String] = []
        for rule in rules where rule.matches(question) {
            switch rule.effect {
            case .allow: allowing.append(rule.id)
            case .deny: denying.append(rule.id)
            }
        }
        if !denying.isEmpty { return PolicyDecision(effect: .deny, reason: "rule", ruleIDs: denying) }
        if !allowing.isEmpty { return PolicyDecision(effect: .allow, reason: "rule", ruleIDs: allowing) }
        return PolicyDecision(effect: .deny, reason: "no_rule_matched", ruleIDs: [])
    }
}
