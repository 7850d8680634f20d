extension PolicySet {
    /// What a tenant's policy allows beyond these rules, the operator's: it is accepted and has no effect there. A pattern is asked
    /// as if it were a name: the operator's pattern that covers it matches its text.
    public func warnings(about document: PolicyDocument, tenantSlug: String) -> [String] {
        var warnings: [String] = []
        var asked = 0
        for rule in document.rules where rule.effect != .deny {
            for target in ToolTarget.allCases where rule.targets?.contains(target) ?? (rule.devices == nil || target == .device) {
                for tool in rule.tools?.map(\.pattern) ?? ["*"] {
                    for agent in rule.agents?.map(\.pattern) ?? ["*"]
                    where warnings.count < Limits.maxPolicyWarnings && asked < Limits.maxPolicyWarningQuestions {
                        asked += 1
                        let question = PolicyQuestion(
                            tenantSlug: tenantSlug, agentName: agent, target: target, tool: tool,
                            device: .open(labels: (rule.devices?.labels ?? [:]).mapValues(\.pattern)))
                        let decision = EffectivePolicies(folder: self).decide(question)
                        guard decision.isDenied else { continue }
                        let who = agent == "*" ? "" : " for agent \(agent)"
                        let why =
                            decision.namedRules.first.map { "denied by the operator's \($0)" }
                            ?? "which no rule of the operator's allows whole"
                        warnings.append(
                            "\(rule.id): \(tool) on target \(target.rawValue)\(who), \(why); it has no effect beyond the operator's rules")
                    }
                }
            }
        }
        return warnings
    }
}
