import Cryptography
import Domain
import JSON
import Runtime
import TestSupport
import Testing

/// Everything that a row `tool_call.decide` says, but for its own id, its time and its call.
struct GateRecord: Hashable {
    let actorKind: String?
    let actorID: String?
    let agentName: String?
    let runID: String?
    let tool: String?
    let target: String?
    let decision: String?
    let reason: String?
    let rules: [String]
    let policyHash: String?
    let argumentsHash: String?

    static let fields: Set = [
        "runId", "agentName", "tool", "target", "decision", "reason", "rules", "policyHash", "argumentsHash",
    ]

    init(_ row: JSONNode) {
        let details = row["details"]
        actorKind = row["actor"]?["kind"]?.string
        actorID = row["actor"]?["id"]?.string
        agentName = details?["agentName"]?.string
        runID = details?["runId"]?.string
        tool = details?["tool"]?.string
        target = details?["target"]?.string
        decision = details?["decision"]?.string
        reason = details?["reason"]?.string
        rules = details?["rules"]?.elements.compactMap(\.string) ?? []
        policyHash = details?["policyHash"]?.string
        argumentsHash = details?["argumentsHash"]?.string
    }

    init(
        _ decision: GateCase.Decision, of row: GateCase, _ kind: GateKind, _ run: String, agent: (id: String, name: String),
        policyHash: String
    ) {
        actorKind = "agent"
        (actorID, agentName) = agent
        runID = run
        tool = kind.prefix + row.tool
        target = kind.target.rawValue
        self.decision = decision.effect.rawValue
        (reason, rules) = (decision.reason, decision.rules)
        self.policyHash = policyHash
        argumentsHash = "sha256:" + Hex.encode(SHA256.hash(Array(row.arguments.utf8)))
    }
}

/// What was counted of the gate's decisions, over several processes.
struct DecisionCounts: Equatable {
    /// By series, where it is not 0.
    private(set) var counts: [String: Int] = [:]

    init() {}

    init(of gateways: [PolicyGateway]) {
        for gateway in gateways {
            for line in gateway.gateway.gateway.metrics.render().split(separator: "\n") {
                let parts = line.split(separator: " ")
                guard parts.count == 2, parts[0].hasPrefix("hsafa_policy_decisions_total{"), let count = Int(parts[1]) else { continue }
                if count > 0 { counts[String(parts[0]), default: 0] += count }
            }
        }
    }

    static func series(_ stage: String, _ target: ToolTarget, _ effect: PolicyEffect) -> String {
        #"hsafa_policy_decisions_total{stage="\#(stage)",target="\#(target.rawValue)",decision="\#(effect.rawValue)"}"#
    }

    mutating func add(_ stage: String, _ target: ToolTarget, _ effect: PolicyEffect, _ count: Int = 1) {
        if count > 0 { counts[Self.series(stage, target, effect), default: 0] += count }
    }

    static func + (left: DecisionCounts, right: DecisionCounts) -> DecisionCounts {
        var sum = left
        sum.counts.merge(right.counts, uniquingKeysWith: +)
        return sum
    }
}

extension GateCase {
    /// Where it is asked before a call goes out, or where what came of it is taken.
    static func lastStage(_ kind: GateKind) -> String { kind == .browser || kind == .external ? "answer" : "dispatch" }

    /// What one run of it adds to the counts.
    ///
    /// - Parameter sent: how often its calls went out: a frame that a device may not have got is judged and sent again.
    func counts(_ kind: GateKind, steps: Int, sent: Int) -> DecisionCounts {
        var counts = DecisionCounts()
        for step in 0..<steps {
            for (tool, effect) in Self.tools {
                // Later steps are shown what is left of the tools.
                counts.add("shown", kind.target, step > 0 && later != nil && tool == self.tool ? .deny : effect)
            }
        }
        for decision in atCall { counts.add("call", kind.target, decision.effect) }
        counts.add(Self.lastStage(kind), kind.target, .allow, sent)
        // Who comes to approve what is denied by now asks as if the call were about to go out.
        if let later { counts.add(person == .isOutdated ? "dispatch" : Self.lastStage(kind), kind.target, later.effect) }
        return counts
    }
}
