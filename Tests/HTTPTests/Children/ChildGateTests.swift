import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

/// The gate before runs that calls start, and before what those runs call.
@Suite(.timeLimit(.minutes(5)))
struct ChildGateTests {
    private static let policy = """
        version: 1
        rules:
          - id: ok
            tools: [ok, args, many, echo]
            effect: allow
          - id: few
            tools: [many]
            effect: allow
            limits: { perRun: 1 }
          - id: no-secrets
            tools: [args]
            when: { properties: { path: { pattern: "secret" } }, required: [path] }
            effect: deny
          - id: person
            tools: [ask]
            effect: require_approval
          - id: quick
            tools: [late]
            effect: require_approval
            approval: { expiresSeconds: 1 }
          - id: not-below
            agents: ["below-*"]
            tools: [echo]
            effect: deny
        """

    private struct Case {
        let name: String
        let calls: String
        let outcomes: [String]
        let children: Int
        var decision: String?
    }

    private static let cases = [
        Case(name: "allow", calls: #"{"name":"ok","arguments":{}}"#, outcomes: ["result"], children: 1),
        Case(name: "no rule", calls: #"{"name":"unknown","arguments":{}}"#, outcomes: ["no_rule_matched"], children: 0),
        Case(
            name: "argument denied", calls: #"{"name":"args","arguments":{"path":"secret"}}"#, outcomes: ["denied_by_policy"], children: 0),
        Case(
            name: "over limit", calls: #"{"name":"many","arguments":{}},{"name":"many","arguments":{}}"#,
            outcomes: ["limit_per_run", "result"], children: 1),
        Case(name: "approved", calls: #"{"name":"ask","arguments":{}}"#, outcomes: ["result"], children: 1, decision: "approve"),
        Case(name: "denied", calls: #"{"name":"ask","arguments":{}}"#, outcomes: ["approval_denied"], children: 0, decision: "deny"),
        Case(name: "expired", calls: #"{"name":"late","arguments":{}}"#, outcomes: ["approval_expired"], children: 0),
    ]

    @Test func `a run is started where the gate lets its call through, and nowhere else`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        try await tenant.agent("leaf", steps: [Config.says])
        let tools = ["ok", "unknown", "args", "many", "ask", "late"].map { Config.child($0, of: "leaf") }
        for (index, test) in Self.cases.enumerated() {
            try await tenant.agent("row-\(index)", steps: [#"{"toolCalls":[\#(test.calls)]}"#, Config.tellsResult], tools: tools)
        }
        try policies.set(Self.policy)
        for (index, test) in Self.cases.enumerated() {
            let run = try await tenant.start("row-\(index)")
            if let decision = test.decision {
                let (call, _) = try await tenant.approval(of: run)
                #expect(try await tenant.children(of: run).isEmpty, "nothing is started before a person decides")
                #expect(try await tenant.decide(decision, run, call).status == 200)
            }
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed", "\(test.name)")
            let outcomes = events.compactMap { event in
                switch event.type {
                case "tool.result.received": "result"
                case "tool.call.denied": event["reason"]
                default: nil
                }
            }
            #expect(outcomes == test.outcomes, "\(test.name)")
            #expect(try await tenant.children(of: run).count == test.children, "\(test.name)")
        }
    }

    @Test func `policy that thinks better of it between a person's word and the start has its way`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        try await tenant.agent("leaf", steps: [Config.says])
        try policies.set(Self.policy)
        let run = try await tenant.run(
            "asks", steps: [Config.call("ask"), Config.tellsResult], tools: [Config.child("ask", of: "leaf")])
        let (call, _) = try await tenant.approval(of: run)
        try policies.set(Self.policy.replacing("tools: [ask]\n    effect: require_approval", with: "tools: [ask]\n    effect: deny"))
        try await tenant.decide("approve", run, call).expectProblem(409, "denied_by_policy")
        #expect(try await tenant.events(run).last?.type == "run.completed")
        #expect(try await tenant.children(of: run).isEmpty)
    }

    @Test func `a tool that starts runs and can never be used is refused at publish`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        try policies.set(Self.policy)
        let config = Config.text("p", steps: [Config.says], tools: [Config.child("nobody", of: "leaf")])
        let answer = try await tenant.send("POST", "/api/agents", #"{"name":"p","config":\#(config)}"#)
        try answer.expectProblem(422, "tool_denied_by_policy")
        #expect(try answer.pointers() == ["/config/tools/0"])
    }

    @Test func `what the started run calls is judged under its own agent's name, and a person is asked about it`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        try await tenant.agent("below-1", steps: [Config.call("echo"), Config.tellsResult], tools: [Config.echo])
        try await tenant.agent("asker", steps: [Config.call("ask"), Config.tellsResult], tools: [Config.child("ask", of: "leaf")])
        try await tenant.agent("leaf", steps: [#"{"text":"from the leaf"}"#])
        try await tenant.agent(
            "above",
            steps: [
                #"{"toolCalls":[{"name":"echo","arguments":{"n":1}},{"name":"ok","arguments":{}},{"name":"args","arguments":{}}]}"#,
                Config.says,
            ],
            tools: [Config.echo, Config.child("ok", of: "below-1"), Config.child("args", of: "asker")])
        try policies.set(Self.policy)
        let run = try await tenant.start("above")
        #expect(try await eventually { try await tenant.children(of: run).count == 2 })
        let children = try await tenant.children(of: run)
        let asker = try #require(children.first { $0["agentName"]?.string == "asker" }?["runId"]?.string)
        let (call, _) = try await tenant.approval(of: asker)
        #expect(try await tenant.reaches("waiting_tool", run))
        #expect(try await tenant.decide("approve", asker, call).status == 200)
        let results = try await tenant.events(run).filter { $0.type == "tool.result.received" }.map(\.data.string)
        #expect(results.count == 3)
        #expect(results.contains { $0.contains(#""result":{"n":1}"#) }, "the agent above may echo")
        #expect(results.contains { $0.contains("denied_by_policy") }, "the one below may not")
        #expect(results.contains { $0.contains("from the leaf") })
    }
}
