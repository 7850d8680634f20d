import Domain
import Testing

/// Rules are found and tried by other means than one after the other, and what is decided is the same.
struct PolicyIndexTests {
    @Test func `the index finds what a look at every rule finds`() throws {
        var generator = SeededGenerator(seed: 5)
        let tools = [
            "fs.read", "fs.re*", "fs.*", "*", "*read", "search", "sea*", "?s.read", "docs.find", "naïve*", "*.readme", "*dme", "*ïveté",
            "*s*re*", "*.r*d", "*é*", "?*?",
        ]
        let names = ["acme", "ac*", "*", "beta", "b?ta", "*e", "*me", "*et*"]
        func pick(_ list: [String]) -> [Glob]? {
            guard Int.random(in: 0..<3, using: &generator) > 0 else { return nil }
            return (0..<Int.random(in: 1...3, using: &generator)).compactMap { _ in list.randomElement(using: &generator).map { Glob($0) } }
        }
        for _ in 0..<200 {
            let rules = (0..<30).map { index in
                PolicyRule(
                    id: "r\(index)", tenants: pick(names), agents: pick(names),
                    targets: Bool.random(using: &generator) ? nil : [.device, .server], tools: pick(tools), effect: .allow)
            }
            let set = EffectivePolicies(folder: PolicySet(rules: rules, hash: "h"))
            for tool in ["fs.read", "fs.readme", "search", "x", "naïveté", ""] {
                for target in [ToolTarget.device, .browser] {
                    let asked = PolicyQuestion(tenantSlug: "acme", agentName: "beta", target: target, tool: tool)
                    let expected = set.explain(asked).filter { $0.result == .matched }.map(\.rule)
                    #expect(set.decide(asked).rules == expected)
                }
            }
        }
    }

    /// Where no index helps and names are of every length: what a look at every rule finds is what is decided.
    @Test func `patterns that no index helps decide as each of them alone`() throws {
        var generator = SeededGenerator(seed: 23)
        func text(_ letters: [Character], _ count: Int) -> String {
            String((0..<count).map { _ in letters.randomElement(using: &generator) ?? "a" })
        }
        func pick(_ longest: Int) -> [Glob]? {
            guard Int.random(in: 0..<4, using: &generator) > 0 else { return nil }
            return (0..<Int.random(in: 0...2, using: &generator)).map { _ in
                let letters: [Character] = Bool.random(using: &generator) ? ["a", "b", "*"] : ["a", "b", "*", "?", "é"]
                return Glob(text(letters, Int.random(in: 0...longest, using: &generator)))
            }
        }
        let lengths = [0, 1, 2, 3, 5, 8, 13, 62, 63, 64, 65, 126, 127, 128, 129, 177]
        for round in 0..<150 {
            // Short names match often; long ones find their ends.
            let rules = (0..<70).map { index in
                PolicyRule(
                    id: "r\(index)", tenants: pick(4), agents: pick(4),
                    targets: Bool.random(using: &generator) ? nil : [.device, .browser], tools: pick(9),
                    effect: PolicyEffect.allCases[index % (round % 3 + 1)])
            }
            let set = EffectivePolicies(folder: PolicySet(rules: rules, hash: "h"))
            for target in [ToolTarget.device, .server] {
                let letters: [Character] = round % 5 == 0 ? ["a", "b", "*", "?", "é", "漢"] : ["a", "b"]
                let tool = text(letters, lengths.randomElement(using: &generator) ?? 1)
                let tenant = text(letters, lengths.prefix(round % 2 == 0 ? 5 : 16).randomElement(using: &generator) ?? 1)
                let asked = PolicyQuestion(tenantSlug: tenant, agentName: text(letters, 2), target: target, tool: tool)
                let decision = set.decide(asked)
                let matched = set.explain(asked).filter { $0.result == .matched }
                let strictest = matched.map(\.effect).max()
                #expect(decision.effect == strictest ?? .deny, "\(asked)")
                #expect(decision.rules == matched.filter { $0.effect == strictest }.map(\.rule), "\(asked)")
            }
        }
    }

    @Test(arguments: [1, 2, 31, 32, 62, 63, 64, 65, 126, 127, 128, 129, 200]) func `a pattern fits a name of every length`(count: Int)
        throws
    {
        let name = String((0..<count).map { Character(UnicodeScalar(UInt8(97 + $0 % 23))) })
        let (first, last, rest) = (name.prefix(1), name.suffix(1), name.dropFirst().dropLast())
        let fitting = [
            name, "*", name + "*", "*" + name, "*\(name)*", "\(first)*", "*\(last)", String(repeating: "?", count: count),
            "*" + String(repeating: "?", count: count), String(repeating: "?", count: count) + "*", "*\(last)*", "?*", "**",
        ]
        let failing = [
            name + "?", "?" + name, "\(name)*\(name)", "*" + String(repeating: "?", count: count + 1), "*~*", "", "~*", "*~",
            "*\(last)?*", "*?\(first)*\(rest)~",
        ]
        for pattern in fitting + failing {
            let set = EffectivePolicies(folder: PolicySet(rules: [PolicyRule(id: "r", tools: [Glob(pattern)], effect: .allow)], hash: "h"))
            let decision = set.decide(PolicyQuestion(tenantSlug: "acme", agentName: "a", target: .device, tool: name))
            #expect(decision.isDenied == !Glob(pattern).matches(name), "\(pattern) on \(name)")
            if fitting.contains(pattern) { #expect(!decision.isDenied, "\(pattern) on \(name)") }
        }
    }
}
