public import Domain

/// The one choke point of tools: at publish, when the model is shown its tools, at each call, and again at dispatch.
public struct ToolGate: Sendable {
    private let policies: PolicyBook

    init(policies: PolicyBook) { self.policies = policies }

    public func admits(_ question: PolicyQuestion) -> PolicyDecision { policies.current.decide(question) }

    func decide(_ scope: TenantScope, agent: String, tool: ToolDefinition) -> PolicyDecision {
        admits(PolicyQuestion(tenantSlug: scope.slug, agentName: agent, target: tool.target, tool: tool.name))
    }

    /// What a refused call comes to; nil when it may go on.
    func refusal(_ scope: TenantScope, agent: String, tool: ToolDefinition) -> ToolOutcome? {
        let decision = decide(scope, agent: agent, tool: tool)
        guard !decision.isAllowed else { return nil }
        return .denied(
            reason: decision.reason == "rule" ? "denied_by_policy" : decision.reason,
            message: decision.ruleIDs.isEmpty
                ? "No policy rule allows \(tool.name) on target \(tool.target.rawValue)."
                : "Policy denies \(tool.name) on target \(tool.target.rawValue).")
    }
}
