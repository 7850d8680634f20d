import Domain
import JSON

/// A decision over 1,000 rules. Floor: one look into a dictionary of as many strings, which is what an index cannot do without.
enum PolicyRow {
    private static let count = 1000
    private static let rounds = 200_000

    static func measure(_ bench: Bench) throws {
        let arguments = try JSONDocument(parsing: Array(#"{"path":"/data/reports/2026/summary.txt"}"#.utf8)).root
        // As an operator writes them: for tenants, for agents, by tool, by beginning; and every tenth by a pattern that no index helps.
        let mixed = (0..<count).map { index in
            PolicyRule(
                id: "rule-\(index)", tenants: index % 2 == 0 ? [Glob("tenant-\(index / 20)")] : nil,
                agents: index % 3 == 0 ? [Glob("agent-\(index % 7)*")] : nil, targets: index % 5 == 0 ? [.device, .server] : nil,
                tools: [Glob(index % 10 == 0 ? "*-\(index)" : index % 4 == 0 ? "group\(index % 50).*" : "tool-\(index)")],
                effect: index % 11 == 0 ? .requireApproval : .allow)
        }
        let condition = try PolicyCondition(
            reading: try JSONDocument(
                parsing: Array(#"{"required":["path"],"properties":{"path":{"pattern":"^/data(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"}}}"#.utf8)
            ).root, at: "")
        let looking = mixed + [PolicyRule(id: "looks", tools: [Glob("group8.read")], when: condition, effect: .allow)]
        let ends = (0..<count).map { PolicyRule(id: "rule-\($0)", tools: [Glob("*-\($0)")], effect: .allow) }
        // Neither beginning nor end, and every name has all bytes that they ask for: nothing to index by, each is tried.
        let worst = (0..<count).map { PolicyRule(id: "rule-\($0)", tools: [Glob("*o\($0)7*t*")], effect: .allow) }
        // Every rule has its say in every call, and a tenth of them sets bounds.
        let all = (0..<count).map { index in
            PolicyRule(
                id: "allowed-by-rule-\(index)", tenants: [Glob("tenant-*")], tools: [Glob("to*"), Glob("*.read")], effect: .allow,
                limits: index % 10 == 0 ? PolicyLimits(perMinute: 1000 - index, timeoutSeconds: 60 + index) : .none)
        }
        let floor = floorNanoseconds()
        report(bench, "decision over 1,000 rules", mixed, nil, floor)
        report(bench, "the same, and `when` over the arguments", looking, arguments, floor)
        report(bench, "over 1,000 rules by the ends of names", ends, nil, floor)
        report(
            bench, "over 1,000 rules that no index helps", worst, nil, floor,
            tools: ["to0123456789", "tool98765432107t", "9o1t2345678", "t0o1987654327"])
        report(
            bench, "over 1,000 rules that all match", all, nil, floor, tools: ["tool-7", "group8.read", "together", "tool-999"])
    }

    private static func report(
        _ bench: Bench, _ work: String, _ rules: [PolicyRule], _ arguments: JSONNode?, _ floor: Double,
        tools: [String] = ["tool-7", "group8.read", "nothing", "tool-999"]
    ) {
        let policies = EffectivePolicies(folder: PolicySet(rules: rules, hash: "bench"))
        let questions = tools.map { tool in
            PolicyQuestion(tenantSlug: "tenant-3", agentName: "agent-3", target: .device, tool: tool, arguments: arguments)
        }
        var denied = 0
        let start = Clock.monotonic()
        for round in 0..<rounds { denied += policies.decide(questions[round & 3]).isDenied ? 1 : 0 }
        let nanoseconds = Double(Clock.monotonic() - start) / Double(rounds)
        bench.report.add(
            Row(
                work: work, figure: "\((nanoseconds / 1000).text(2)) µs (\(denied * 100 / rounds) % denied)",
                floor: "\((floor / 1000).text(3)) µs, one look into a dictionary", ratio: nanoseconds / floor,
                targets: [("≤ 20 µs", nanoseconds <= 20_000)]))
    }

    private static func floorNanoseconds() -> Double {
        let names = Dictionary(uniqueKeysWithValues: (0..<count).map { ("tool-\($0)", $0) })
        let asked = ["tool-7", "group8.read", "nothing", "tool-999"]
        var found = 0
        let start = Clock.monotonic()
        for round in 0..<rounds { found += names[asked[round & 3]] ?? 1 }
        let nanoseconds = Double(Clock.monotonic() - start) / Double(rounds)
        return found > 0 ? nanoseconds : 0
    }
}
