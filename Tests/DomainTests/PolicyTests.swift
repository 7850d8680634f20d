import Domain
import Testing

struct GlobTests {
    @Test(arguments: [
        ("", "", true), ("", "a", false), ("*", "", true), ("*", "anything", true), ("?", "", false), ("?", "a", true), ("?", "ab", false),
        ("read*", "readFile", true), ("read*", "read", true), ("read*", "unread", false), ("*File", "readFile", true),
        ("*File", "readFiles", false), ("r*d*e", "readFile", true), ("r*x*e", "readFile", false), ("r?ad", "read", true),
        ("r?ad", "rad", false), ("**", "a", true), ("a**b", "ab", true), ("a*b*c", "abbbbc", true), ("a*b*c", "abbbb", false),
        ("exact", "exact", true), ("exact", "Exact", false), ("exact", "exact ", false), ("a.c", "abc", false), ("[a]", "a", false),
        ("*a", "aaab", false), ("*ab", "aab", true), ("*a?", "aab", true),
    ])
    func `a star stands for any run of characters and a question mark for one`(pattern: String, text: String, isMatch: Bool) {
        #expect(Glob(pattern).matches(text) == isMatch)
    }

    @Test func `it agrees with the plain definition on random patterns`() {
        // Recursion by the definition: right, and slow on long texts.
        func matches(_ pattern: Substring, _ text: Substring) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "*" { return matches(pattern.dropFirst(), text) || (!text.isEmpty && matches(pattern, text.dropFirst())) }
            guard let letter = text.first, first == "?" || first == letter else { return false }
            return matches(pattern.dropFirst(), text.dropFirst())
        }
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            let pattern = String((0..<Int.random(in: 0...6, using: &generator)).map { _ in "ab*?".randomElement(using: &generator) ?? "a" })
            let text = String((0..<Int.random(in: 0...8, using: &generator)).map { _ in "ab".randomElement(using: &generator) ?? "a" })
            #expect(Glob(pattern).matches(text) == matches(pattern[...], text[...]), "\(pattern) on \(text)")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `patterns that look exponential end at once`() {
        let text = String(repeating: "a", count: 20_000)
        #expect(!Glob("*a*a*a*a*b").matches(text))
        #expect(!Glob(String(repeating: "*a", count: 30) + "b").matches(text))
        #expect(Glob(String(repeating: "*a", count: 30)).matches(text))
        #expect(!Glob(String(repeating: "?*", count: 30) + "b").matches(text))
    }
}

struct PolicySetTests {
    private let question = PolicyQuestion(tenantSlug: "acme", agentName: "support", target: .device, tool: "readFile")

    private func rule(
        _ id: String, tenants: [String]? = nil, agents: [String]? = nil, targets: Set<ToolTarget>? = nil, tools: [String]? = nil,
        _ effect: PolicyEffect
    ) -> PolicyRule {
        PolicyRule(
            id: id, tenants: tenants?.map { Glob($0) }, agents: agents?.map { Glob($0) }, targets: targets, tools: tools?.map { Glob($0) },
            effect: effect)
    }

    @Test func `where nothing matches the answer is deny`() {
        let decision = PolicySet.denyAll.decide(question)
        #expect(!decision.isAllowed)
        #expect(decision.reason == "no_rule_matched")
        #expect(decision.ruleIDs.isEmpty)
    }

    @Test func `deny beats allow in any order and names the rules that denied`() {
        let allow = rule("a", .allow)
        let first = rule("d1", tools: ["read*"], .deny)
        let second = rule("d2", tenants: ["ac*"], .deny)
        for rules in [[allow, first, second], [first, allow, second], [first, second, allow]] {
            let decision = PolicySet(rules: rules, hash: "h").decide(question)
            #expect(decision.effect == .deny)
            #expect(decision.reason == "rule")
            #expect(decision.ruleIDs == ["d1", "d2"])
        }
    }

    @Test func `every rule that allows is named`() {
        let rules = [rule("x", tools: ["write*"], .allow), rule("y", .allow), rule("z", agents: ["support"], .allow)]
        let decision = PolicySet(rules: rules, hash: "h").decide(question)
        #expect(decision.isAllowed)
        #expect(decision.ruleIDs == ["y", "z"])
    }

    @Test func `each list narrows a rule, an absent one matches all and an empty one nothing`() {
        func isAllowed(_ rule: PolicyRule) -> Bool { PolicySet(rules: [rule], hash: "h").decide(question).isAllowed }
        #expect(isAllowed(rule("r", .allow)))
        #expect(isAllowed(rule("r", tenants: ["x", "acme"], agents: ["s*"], targets: [.device, .browser], tools: ["*File"], .allow)))
        #expect(!isAllowed(rule("r", tenants: ["other"], .allow)))
        #expect(!isAllowed(rule("r", agents: ["sales"], .allow)))
        #expect(!isAllowed(rule("r", targets: [.server], .allow)))
        #expect(!isAllowed(rule("r", tools: ["read"], .allow)))
        #expect(!isAllowed(rule("r", tenants: [], .allow)))
        #expect(!isAllowed(rule("r", agents: [], .allow)))
        #expect(!isAllowed(rule("r", targets: [], .allow)))
        #expect(!isAllowed(rule("r", tools: [], .allow)))
    }

    @Test func `a principal without a scope is told which one it lacks`() throws {
        let scope = TenantScope(tenantID: .generate(), slug: "acme")
        let principal = Principal(keyID: .generate(), scope: scope, scopes: [.runsRead], isAdmin: false, expiresAt: nil)
        try principal.require(.runsRead)
        let error = #expect(throws: GatewayError.self) { try principal.require(.runsWrite) }
        #expect(error?.status == 403)
        #expect(error?.detail.contains("runs:write") == true)
        #expect(throws: GatewayError.self) { try principal.requireAdmin() }
        // An admin's key is for its own part of the API, whatever it holds.
        let admin = Principal(keyID: .generate(), scope: scope, scopes: [.runsRead], isAdmin: true, expiresAt: nil)
        #expect(throws: GatewayError.self) { try admin.require(.runsRead) }
        #expect(throws: Never.self) { try admin.requireAdmin() }
    }

    @Test func `nobody hands out more than he has, neither scopes nor time`() throws {
        let scope = TenantScope(tenantID: .generate(), slug: "acme")
        let expiry = Timestamp.now().adding(seconds: 60)
        func principal(_ expiresAt: Timestamp?, isAdmin: Bool = false) -> Principal {
            Principal(keyID: .generate(), scope: scope, scopes: [.runsRead, .keysWrite], isAdmin: isAdmin, expiresAt: expiresAt)
        }
        try principal(nil).requireToHold([.runsRead], until: nil)
        try principal(expiry).requireToHold([.runsRead, .keysWrite], until: expiry)
        func code(_ principal: Principal, _ scopes: Set<Scope>, _ until: Timestamp?) -> String? {
            do throws(GatewayError) {
                try principal.requireToHold(scopes, until: until)
                return nil
            } catch { return error.code }
        }
        #expect(code(principal(nil), [.runsRead, .runsWrite], nil) == "scopes_beyond_issuer")
        #expect(code(principal(expiry), [.runsRead], nil) == "expiry_beyond_issuer")
        #expect(code(principal(expiry), [.runsRead], expiry.adding(seconds: 1)) == "expiry_beyond_issuer")
        #expect(code(principal(expiry, isAdmin: true), [.runsWrite], nil) == nil)
    }
}
