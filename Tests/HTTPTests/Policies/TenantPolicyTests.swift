import Domain
import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

/// A tenant's own layer over the API.
@Suite(.timeLimit(.minutes(3)))
struct TenantPolicyTests {
    private static let denyEcho = #"{"version":1,"rules":[{"id":"no","effect":"deny","tools":["echo"]}]}"#

    private func evaluate(_ tenant: TestTenant, _ tool: String = "echo", on client: HsafaClient? = nil) async throws -> PolicyEvaluation {
        try await (client ?? tenant.client).policies.evaluate(
            RawJSON(trusted: Array(#"{"target":"server","tool":"\#(tool)","arguments":{}}"#.utf8)))
    }

    @Test func `what a tenant writes narrows at once, and what it removes is wide again`() async throws {
        let tenant = try await TestTenant.make()
        #expect(try await evaluate(tenant).decision == "allow")
        let before = try await tenant.client.policies.get().hash
        let written = try await tenant.send("PUT", "/api/policies/mine", Self.denyEcho)
        #expect(written.status == 201, "\(written.text)")
        #expect(try written.json()["revision"]?.int == 1)
        let denied = try await evaluate(tenant)
        #expect(denied.decision == "deny" && denied.rules == ["tenant/mine/no"])
        #expect(denied.evaluated.contains { $0.layer == "tenant" && $0.result == "matched" })
        #expect(denied.evaluated.contains { $0.layer == "folder" })
        let effective = try await tenant.client.policies.get()
        #expect(effective.hash != before && effective.policies.map(\.name) == ["mine"] && !effective.folderRules.isEmpty)
        // The same again changes nothing; another document is another revision.
        #expect(try await tenant.send("PUT", "/api/policies/mine", Self.denyEcho).json()["revision"]?.int == 1)
        let other = Self.denyEcho.replacing("echo", with: "other")
        #expect(try await tenant.send("PUT", "/api/policies/mine", other).json()["revision"]?.int == 2)
        #expect(try await evaluate(tenant).decision == "allow")
        #expect(try await tenant.send("DELETE", "/api/policies/mine").status == 204)
        try await tenant.send("DELETE", "/api/policies/mine").expectProblem(404, "policy_not_found")
        #expect(try await tenant.client.policies.get().hash == before)
    }

    @Test func `a model is shown the tools that policy may let it use, and no other`() async throws {
        let chunk = #"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#
        let model = try await ToolServer { _ in .init(200, "data: \(chunk)\n\ndata: [DONE]\n\n", type: "text/event-stream") }
        let tenant = try await TestTenant.make()
        let config = """
            {"version":"1.0","agent":{"name":"m"},"model":{"provider":"openai-compatible","name":"x","baseURL":"http://127.0.0.1:\(model.port)/v1"},
             "tools":[\(Config.echo),{"name":"other","executionType":"basic","execution":{"mode":"pass-through"}}]}
            """
        let agent = try await tenant.client.agents.create(name: "m", config: RawJSON(trusted: Array(config.utf8)))
        func shown() async throws -> [String?] {
            let run = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
            #expect(try await tenant.events(run).last?.type == "run.completed")
            let request = try JSONDocument(parsing: try #require(model.received.last).body).root
            return request["tools"]?.elements.map { $0["function"]?["name"]?.string } ?? []
        }
        #expect(try await shown() == ["echo", "other"])
        #expect(try await tenant.send("PUT", "/api/policies/mine", Self.denyEcho).status == 201)
        #expect(try await shown() == ["other"])
        await model.close()
    }

    @Test func `a run feels it: what is denied is not shown to the model, and a call of it is refused`() async throws {
        let tenant = try await TestTenant.make()
        let steps = [Config.calls("echo"), Config.tellsResult]
        try await tenant.agent("echoes", steps: steps, tools: [Config.echo])
        #expect(try await tenant.send("PUT", "/api/policies/mine", Self.denyEcho).status == 201)
        let events = try await tenant.events(try await tenant.start("echoes"))
        #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "denied_by_policy")
        // A tool that can never be used cannot be published, and the attempt is on record.
        let config = Config.text("echoes", steps: [Config.says], tools: [Config.echo])
        let agent = try #require(try await tenant.send("GET", "/api/agents").data().first?["agentId"]?.string)
        let refused = try await tenant.send("POST", "/api/agents/\(agent)/versions", #"{"config":\#(config)}"#)
        try refused.expectProblem(422, "tool_denied_by_policy")
        #expect(refused.text.contains("tenant/mine/no"))
        let rows = try await tenant.send("GET", "/api/audit?action=agent_version.refuse").data()
        #expect(rows.first?["details"]?["tools"]?[0]?["rule"]?.string == "tenant/mine/no")
    }

    @Test func `it can only narrow: what is wider than the operator's rules is accepted with a warning and has no effect`() async throws {
        let tenant = try await TestTenant.make()
        let wide = #"{"version":1,"rules":[{"id":"all","effect":"allow","targets":["device"],"tools":["shell"]}]}"#
        let written = try await tenant.client.policies.put("wide", RawJSON(trusted: Array(wide.utf8)))
        #expect(written.warnings.count == 1 && written.warnings[0].contains("shell"))
        let answer = try await tenant.client.policies.evaluate(RawJSON("{\"target\":\"device\",\"tool\":\"shell\"}"))
        #expect(answer.decision == "deny" && answer.reason == "no_rule_matched")
    }

    @Test func `another replica hears of it`() async throws {
        let (front, back) = try await TestGateway.replicas.value
        let tenant = try await TestTenant.make(on: front)
        let there = tenant.through(back)
        #expect(try await evaluate(tenant, on: there).decision == "allow")
        #expect(try await tenant.send("PUT", "/api/policies/mine", Self.denyEcho).status == 201)
        #expect(try await eventually(within: 60) { try await evaluate(tenant, on: there).decision == "deny" })
        #expect(try await tenant.send("DELETE", "/api/policies/mine").status == 204)
        #expect(try await eventually(within: 60) { try await evaluate(tenant, on: there).decision == "allow" })
    }

    @Test func `what is wrong is refused with its place, and bounds hold`() async throws {
        let tenant = try await TestTenant.make()
        let wrong = try await tenant.send("PUT", "/api/policies/p", #"{"version":1,"rules":[{"id":"a","effect":"perhaps"}]}"#)
        try wrong.expectProblem(422, "invalid_body")
        #expect(try wrong.pointers() == ["/rules/0/effect"])
        try await tenant.send("PUT", "/api/policies/a%20b", Self.denyEcho).expectProblem(422, "invalid_name")
        let long = (0..<900).map { #"{"id":"rule-\#($0)","effect":"deny","tools":["tool-with-a-name-that-is-long-\#($0)"]}"# }
        try await tenant.send("PUT", "/api/policies/p", #"{"version":1,"rules":[\#(long.joined(separator: ","))]}"#)
            .expectProblem(413, "too_large")
        let many = (0..<600).map { #"{"id":"r\#($0)","effect":"deny","tools":["t\#($0)"]}"# }
        let document = #"{"version":1,"rules":[\#(many.joined(separator: ","))]}"#
        #expect(try await tenant.send("PUT", "/api/policies/one", document).status == 201)
        try await tenant.send("PUT", "/api/policies/two", document).expectProblem(409, "too_many_rules")
        for index in 1..<Limits.maxPoliciesOfTenant {
            #expect(try await tenant.send("PUT", "/api/policies/p\(index)", #"{"version":1}"#).status == 201)
        }
        try await tenant.send("PUT", "/api/policies/more", #"{"version":1}"#).expectProblem(409, "too_many_policies")
        #expect(try await tenant.send("PUT", "/api/policies/p1", #"{"version":1,"rules":[]}"#).status == 200)
    }

    @Test func `conditions of all policies are bounded together by what they come to`() async throws {
        let tenant = try await TestTenant.make()
        func policy(_ count: Int) -> String {
            let rules = (0..<count).map {
                #"{"id":"r\#($0)","effect":"deny","when":{"properties":{"a":{"pattern":"(?:abcdefgh){0,600}"}}}}"#
            }
            return #"{"version":1,"rules":[\#(rules.joined(separator: ","))]}"#
        }
        let tooMuch = try await tenant.send("PUT", "/api/policies/p", policy(500))
        try tooMuch.expectProblem(422, "invalid_body")
        #expect(try tooMuch.pointers().allSatisfy { $0.hasSuffix("/when") })
        let one = Limits.maxTenantConditionBytes / 60_000 * 2 / 3
        #expect(try await tenant.send("PUT", "/api/policies/one", policy(one)).status == 201)
        try await tenant.send("PUT", "/api/policies/two", policy(one)).expectProblem(409, "conditions_too_large")
        #expect(try await tenant.send("PUT", "/api/policies/one", #"{"version":1}"#).status == 200)
        #expect(try await tenant.send("PUT", "/api/policies/two", policy(one)).status == 201)
    }

    @Test func `the policies are told without being compiled`() async throws {
        let tenant = try await TestTenant.make(on: try await PolicyGateway.running().gateway)
        #expect(try await tenant.send("PUT", "/api/policies/mine", Self.denyEcho).status == 201)
        let before = tenant.gateway.metric("hsafa_tenant_policy_compilations_total")
        for _ in 0..<3 { #expect(try await tenant.client.policies.get().policies.count == 1) }
        #expect(tenant.gateway.metric("hsafa_tenant_policy_compilations_total") == before)
        let hash = try await tenant.client.policies.get().hash
        let evaluated = try await tenant.send("POST", "/api/policies/evaluate", #"{"target":"server","tool":"x"}"#)
        #expect(try evaluated.string("policyHash") == hash, "named alike by who compiles it")
        #expect(tenant.gateway.metric("hsafa_tenant_policy_compilations_total") == before + 1)
    }

    @Test func `writers side by side stay within the bounds together`() async throws {
        let tenant = try await TestTenant.make()
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<Limits.maxPoliciesOfTenant + 8 {
                group.addTask { try await tenant.send("PUT", "/api/policies/p\(index)", #"{"version":1}"#).status }
            }
            return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(statuses == [201: Limits.maxPoliciesOfTenant, 409: 8])
    }

    @Test func `reading and writing need their scopes, and other tenants' slugs are not shown`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(
            """
            version: 1
            rules:
              - id: all
                effect: allow
              - id: about-somebody
                tenants: [somebody-else]
                effect: deny
            """)
        let tenant = try await TestTenant.make(on: policies.gateway)
        let reader = policies.gateway.client(key: try await policies.gateway.environment.makeKey(tenant.scope, scopes: [.policiesRead]))
        #expect(try await reader.send("PUT", "/api/policies/p", Self.denyEcho).status == 403)
        #expect(try await reader.send("DELETE", "/api/policies/p").status == 403)
        for answer in [
            try await reader.send("GET", "/api/policies"),
            try await reader.send("POST", "/api/policies/evaluate", #"{"target":"server","tool":"x"}"#),
        ] {
            #expect(answer.status == 200)
            #expect(!answer.text.contains("somebody"))
        }
        try await reader.send("POST", "/api/policies/evaluate", #"{"target":"server","tool":"x","tenant":"somebody-else"}"#)
            .expectProblem(422, "invalid_body")
    }

    @Test func `admins see the folder, and why it is not in force`() async throws {
        let policies = try await PolicyGateway.running()
        let admin = policies.gateway.client(key: try await policies.gateway.environment.makeAdminKey())
        let before = try await admin.send("GET", "/api/admin/policies").json()
        #expect(before["files"]?[0]?["name"]?.string == "policy.yaml" && before["errors"]?.count == 0)
        try policies.write("version: 1\nrules:\n  - id: a\n    effect: maybe\n")
        let after = try await admin.send("GET", "/api/admin/policies").json()
        #expect(after["hash"]?.string == before["hash"]?.string)
        #expect(after["errors"]?[0]?["file"]?.string == "policy.yaml" && after["errors"]?[0]?["line"]?.int == 4)
        #expect(policies.gateway.metric("hsafa_policy_folder_invalid") == 1)
        #expect(policies.gateway.metric("hsafa_policy_load_failures_total") == 1)
        try policies.set(PolicyGateway.allowAll)
        #expect(try await admin.send("GET", "/api/admin/policies").json()["errors"]?.count == 0)
        #expect(policies.gateway.metric("hsafa_policy_folder_invalid") == 0)
    }
}
