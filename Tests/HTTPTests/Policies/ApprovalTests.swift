import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

/// People who decide, over the API.
@Suite(.timeLimit(.minutes(3)))
struct ApprovalTests {
    private static let asks = """
        version: 1
        rules:
          - id: person
            tools: [ask]
            effect: require_approval
            approval: { expiresSeconds: 3600 }
            limits: { timeoutSeconds: 77 }
          - id: rest
            tools: [free]
            effect: allow
        """

    private func waiting(_ policies: PolicyGateway, _ target: ToolTarget = .browser) async throws -> (TestTenant, String, String) {
        let tenant = try await TestTenant.make(on: policies.gateway)
        let run = try await tenant.run(
            "asker", steps: [#"{"toolCalls":[{"name":"ask","arguments":{"path":"a"}}]}"#, Config.tellsResult], tools: [target.tool("ask")])
        return (tenant, run, try await tenant.approval(of: run).call)
    }

    @Test func `a call that waits is listed with what would be called, and decided once`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let (tenant, run, call) = try await waiting(policies)
        let listed = try await tenant.client.approvals.list(status: "pending").items
        #expect(listed.map(\.callId) == [call])
        #expect(listed.first?.args.string == #"{"path":"a"}"#)
        #expect(listed.first?.agentName == "asker" && listed.first?.tool == "ask")
        let hash = try #require(listed.first?.callHash)
        #expect(try await tenant.client.approvals.approve(run, call, callHash: hash).status == "approved")
        #expect(try await tenant.client.approvals.list(status: "pending").items.isEmpty)
        #expect(try await tenant.client.approvals.list(status: "approved").items.count == 1)
        try await tenant.decide("deny", run, call).expectProblem(409, "approval_already_decided")
        // The tool's own time begins with the approval.
        let snapshot = try #require(try await tenant.snapshot(run)["pendingCalls"]?.elements.first { _ in true })
        let deadline = try #require(snapshot["deadline"]?.string.flatMap { Timestamp(rfc3339: $0) })
        #expect(deadline < Timestamp.now().adding(seconds: 78))
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == true)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.first { $0.type == "tool.call.approved" }?["by"]?.hasPrefix("key:") == true)
        let actions = try await tenant.send("GET", "/api/audit").data().compactMap { $0["action"]?.string }
        #expect(actions.contains("tool_call.approve"))
    }

    @Test func `of many rules that want a person the first are named, so that an event stays small`() async throws {
        let policies = try await PolicyGateway.running()
        let rules = (10..<50).map { "  - id: person-\($0)\n    tools: [ask]\n    effect: require_approval\n" }
        try policies.set("version: 1\nrules:\n" + rules.joined())
        let (tenant, _, _) = try await waiting(policies)
        let named = try await tenant.send("GET", "/api/approvals?status=pending").data().first?["rules"]?.elements.compactMap(\.string)
        #expect(named == (10..<42).map { "person-\($0)" })
    }

    @Test func `deciding needs its scope, and a body that is right`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let (tenant, run, call) = try await waiting(policies)
        let weak = policies.gateway.client(
            key: try await policies.gateway.environment.makeKey(tenant.scope, scopes: [.runsRead, .runsWrite, .toolsRespond]))
        for path in ["approve", "deny"] {
            let answer = try await weak.send("POST", "/api/runs/\(run)/tool-calls/\(call)/\(path)")
            try answer.expectProblem(403, "missing_scope")
        }
        #expect(try await weak.send("GET", "/api/approvals").status == 403)
        try await tenant.decide("approve", run, call, #"{"reason":"no such field"}"#).expectProblem(422, "invalid_body")
        try await tenant.decide("approve", run, unknownID(), #"{"reason":1}"#).expectProblem(404, "approval_not_found")
        try await tenant.send("GET", "/api/approvals?status=maybe").expectProblem(400, "invalid_query")
        #expect(try await tenant.client.approvals.list(status: "pending").items.count == 1)
    }

    @Test func `of many who decide at once one is heard`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let (tenant, run, call) = try await waiting(policies)
        let answers = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<12 {
                group.addTask { try await tenant.decide(index.isMultiple(of: 2) ? "approve" : "deny", run, call).status }
            }
            return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == [200: 1, 409: 11])
        let decisions = try await tenant.send("GET", "/api/audit").data().compactMap { $0["action"]?.string }
            .filter { $0 == "tool_call.approve" || $0 == "tool_call.deny" }
        #expect(decisions.count == 1)
    }

    @Test func `a cancel voids what waits`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let (tenant, run, call) = try await waiting(policies)
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        try await tenant.decide("approve", run, call).expectProblem(409, "approval_already_decided")
        #expect(try await tenant.client.approvals.list().items.map(\.status) == ["canceled"])
        #expect(try await tenant.events(run).last?.type == "run.canceled")
    }

    @Test func `an approval survives the process that asked, and policy at dispatch beats it`() async throws {
        // Replicas over one database, each with its own folder: the front takes the decision, the back carries out.
        let environment = try await TestEnvironment.fresh()
        let front = try await PolicyGateway.running(in: environment, maxConcurrentRuns: 0)
        let back = try await PolicyGateway.running(in: environment)
        for policies in [front, back] { try policies.set(Self.asks) }
        let (tenant, run, call) = try await waiting(front, .server)
        // Between the approval and the dispatch the policy of the one that carries out says no.
        try back.set("version: 1\nrules:\n  - id: never\n    effect: deny\n")
        #expect(try await tenant.decide("approve", run, call).string("status") == "approved")
        let events = try await tenant.events(run)
        #expect(events.first { $0.type == "run.resumed" }?["reason"] == "approval")
        #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "denied_by_policy")
        #expect(!events.contains { $0.type == "tool.result.received" })
        // With a policy that still asks, the approval that was given is enough.
        try back.set(Self.asks)
        let second = try await tenant.start("asker")
        let (other, _) = try await tenant.approval(of: second)
        #expect(try await tenant.decide("approve", second, other).string("status") == "approved")
        #expect(try await tenant.events(second).contains { $0.type == "tool.result.received" })
    }

    @Test func `a device that comes later is not asked what policy denies by then`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let (tenant, run, call) = try await waiting(policies, .device)
        var device = try await tenant.device()
        device.tools = ["ask"]
        #expect(try await tenant.decide("approve", run, call).string("status") == "approved")
        try policies.set("version: 1\nrules:\n  - id: never\n    effect: deny\n")
        try await device.connected(tenant.gateway) { _ async throws in
            let events = try await tenant.events(run)
            #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "denied_by_policy")
            #expect(!events.contains { $0.type == "tool.call.dispatched" })
        }
    }

    @Test func `policy that wants a person by now asks before a waiting device is called`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        let run = try await tenant.run(
            "asker", steps: [#"{"toolCalls":[{"name":"ask","arguments":{}}]}"#, Config.tellsResult], tools: [ToolTarget.device.tool("ask")])
        _ = try await tenant.pendingCalls(run)
        try policies.set(Self.asks)
        var device = try await tenant.device()
        device.tools = ["ask"]
        try await device.connected(tenant.gateway) { socket async throws in
            let (call, _) = try await tenant.approval(of: run)
            #expect(try await tenant.decide("approve", run, call).string("status") == "approved")
            #expect(try await socket.next("tool.call.request")["callId"]?.string == call)
            try await socket.answer(call)
            #expect(try await socket.isApplied())
            #expect(try await tenant.events(run).last?.type == "run.completed")
        }
    }

    @Test func `devices that policy does not allow are passed over`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(
            """
            version: 1
            rules:
              - id: lab
                devices: { labels: { room: a } }
                effect: allow
            """)
        let tenant = try await TestTenant.make(on: policies.gateway)
        var (wrong, right) = (try await tenant.device("wrong"), try await tenant.device("right"))
        for device in [(wrong.id, "b"), (right.id, "a")] {
            let body = #"{"labels":{"zone":"lab","room":"\#(device.1)"}}"#
            #expect(try await tenant.send("PATCH", "/api/devices/\(device.0)", body).status == 200)
        }
        (wrong.tools, right.tools) = (["ask"], ["ask"])
        try await wrong.connected(tenant.gateway) { _ async throws in
            let run = try await tenant.run(
                "asker", steps: [#"{"toolCalls":[{"name":"ask","arguments":{}}]}"#, Config.tellsResult],
                tools: [ToolTarget.device.tool("ask")])
            let call = try #require(try await tenant.pendingCalls(run).first)
            #expect(call["status"]?.string == "requested")
            try await right.connected(tenant.gateway) { socket async throws in
                let asked = try #require(try await socket.next("tool.call.request")["callId"]?.string)
                try await socket.answer(asked)
                #expect(try await socket.isApplied())
            }
            let events = try await tenant.events(run)
            #expect(events.filter { $0.type == "tool.call.dispatched" }.map { $0["deviceId"] } == [right.id])
        }
    }

    @Test func `limits of policy bound time and results`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(
            """
            version: 1
            rules:
              - id: small
                effect: allow
                limits: { maxResultBytes: 256, timeoutSeconds: 30, perMinute: 2 }
            """)
        let tenant = try await TestTenant.make(on: policies.gateway)
        let long = String(repeating: "x", count: 900)
        let run = try await tenant.run(
            "echoes", steps: [#"{"toolCalls":[{"name":"echo","arguments":{"text":"\#(long)"}}]}"#, Config.says],
            tools: [ToolTarget.server.tool("echo")])
        let events = try await tenant.events(run)
        let result = try #require(try events.first { $0.type == "tool.result.received" }?.json()["result"])
        #expect(result["truncated"]?.bool == true && result.raw.count <= 256)
        #expect(try events.first { $0.type == "tool.call.requested" }?.json()["timeoutSeconds"]?.int == 30)
        // The minute has room for one more.
        let both = #"{"toolCalls":[{"name":"echo","arguments":{}},{"name":"echo","arguments":{}}]}"#
        let second = try await tenant.run("more", steps: [both, Config.says], tools: [ToolTarget.server.tool("echo")])
        let reasons = try await tenant.events(second).filter { $0.type == "tool.call.denied" }.compactMap { $0["reason"] }
        #expect(reasons == ["limit_per_minute"])
    }
}
