public import Domain
import JSON
import Storage

/// The one choke point of tools: at publish, when the model is shown its tools, at each call, and again at dispatch, or where a call is
/// dispatched by being read, at its answer.
public struct ToolGate: Sendable {
    enum Stage: String, CaseIterable {
        case publish
        /// A step's model is told of its tools.
        case shown
        case call, dispatch
        /// A tool client's answer to a call that it read.
        case answer
    }

    private let folder: PolicyBook
    private let tenants: TenantPolicyBook
    private let rates: CallRates
    private let decisions: [Decision: MetricCounter]

    private struct Decision: Hashable {
        let stage: Stage
        let target: ToolTarget
        let effect: PolicyEffect
    }

    init(folder: PolicyBook, tenants: TenantPolicyBook, rates: CallRates, metrics: MetricsRegistry) {
        self.folder = folder
        self.tenants = tenants
        self.rates = rates
        var decisions: [Decision: MetricCounter] = [:]
        for stage in Stage.allCases {
            for target in ToolTarget.allCases {
                for effect in PolicyEffect.allCases {
                    decisions[Decision(stage: stage, target: target, effect: effect)] = metrics.counter(
                        "hsafa_policy_decisions_total", help: "What the gate decided.",
                        labels: [("stage", stage.rawValue), ("target", target.rawValue), ("decision", effect.rawValue)])
                }
            }
        }
        self.decisions = decisions
    }

    /// The policies for a tenant at this moment. Throws when they cannot be known: then nothing may be carried out.
    public func policies(_ scope: TenantScope) async throws -> EffectivePolicies {
        let own = try await tenants.policies(of: scope)
        return EffectivePolicies(folder: folder.current, tenant: own)
    }

    func rules(_ scope: TenantScope) async throws -> ToolRules { ToolRules(scope: scope, policies: try await policies(scope)) }

    func count(_ stage: Stage, _ target: ToolTarget, _ effect: PolicyEffect) {
        decisions[Decision(stage: stage, target: target, effect: effect)]?.add()
    }

    /// The tools that a model is told of: those that may be used, perhaps after a person was asked.
    func shown(_ tools: [ToolDefinition], agent: String, under rules: ToolRules) -> [ToolDefinition] {
        tools.filter { tool in
            let decision = rules.decide(agent: agent, tool: tool)
            count(.shown, tool.target, decision.effect)
            return !decision.isDenied
        }
    }

    /// A call's word with the log's counts and the minute's: what comes of it is written with its request.
    func admit(
        _ call: RequestedCall, of tool: ToolDefinition, arguments: JSONNode, agent: String, under rules: ToolRules,
        counts: inout [String: Int]
    ) async -> CallVerdict {
        let decision = rules.decide(agent: agent, tool: tool, arguments: arguments)
        var verdict = CallVerdict(decision, call, tool, arguments.rawJSON.compacted())
        if !decision.isDenied {
            if let full = decision.counted.first(where: { rule in rule.perRun.map { counts[rule.rule] ?? 0 >= $0 } ?? false }) {
                verdict.refuse(
                    "limit_per_run", by: full.rule,
                    "Policy allows \(full.perRun ?? 0) calls like \(tool.name) in a run, and they are used up; go on without it.")
            } else if let full = await rates.count(call.callID, rules.scope.tenantID, decision.counted) {
                verdict.refuse(
                    "limit_per_minute", by: full.rule.rule,
                    "Policy allows \(full.rule.perMinute ?? 0) calls like \(tool.name) a minute; try again in \(full.retrySeconds) s.")
            } else {
                for rule in decision.counted where rule.perRun != nil { counts[rule.rule, default: 0] += 1 }
            }
        }
        count(.call, tool.target, verdict.record.effect)
        return verdict
    }
}

/// The policies of one tenant at one moment.
struct ToolRules: Sendable {
    let scope: TenantScope
    let policies: EffectivePolicies

    /// - Parameter arguments: nil: not known, as when a version is published; then the answer is the mildest that is possible.
    func decide(agent: String, tool: ToolDefinition, arguments: JSONNode? = nil) -> PolicyDecision {
        policies.decide(
            PolicyQuestion(
                tenantSlug: scope.slug, agentName: agent, target: tool.target, tool: tool.name, arguments: arguments,
                device: .open(labels: tool.device?.labels ?? [:])))
    }
}

/// What the gate makes of one call that a model asks for.
struct CallVerdict: Sendable {
    /// nil: it may go on, perhaps after a person was asked.
    private(set) var outcome: ToolOutcome?
    private(set) var approval: ApprovalRequest?
    let limits: PolicyLimits
    /// Rules under whose `perRun` it counts.
    let countedRules: [String]
    private(set) var record: GateDecision

    fileprivate init(_ decision: PolicyDecision, _ call: RequestedCall, _ tool: ToolDefinition, _ arguments: RawJSON) {
        limits = decision.limits
        countedRules = decision.counted.filter { $0.perRun != nil }.map(\.rule)
        record = GateDecision(
            callID: call.callID, tool: tool.name, target: tool.target, effect: decision.effect,
            reason: decision.isDenied ? decision.code : decision.reason.rawValue, rules: decision.namedRules,
            policyHash: decision.policyHash, arguments: arguments)
        if decision.isDenied { outcome = .denied(by: decision, tool: tool.name, target: tool.target) }
        if let seconds = decision.approvalSeconds {
            approval = ApprovalRequest(expiresSeconds: seconds, rules: decision.namedRules, now: .now())
        }
    }

    fileprivate mutating func refuse(_ code: String, by rule: String, _ message: String) {
        outcome = .denied(reason: code, message: message)
        approval = nil
        record = record.denied(code, by: [rule])
    }
}
