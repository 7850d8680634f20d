import Domain
import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

/// The gate stands before every attempt to post a call, and before a timer begins.
@Suite(.timeLimit(.minutes(5)))
struct SchedulePolicyTests {
    private static let asks = """
        version: 1
        rules:
          - id: person
            effect: require_approval
            approval: { expiresSeconds: 3600 }
        """
    private static let denies = "version: 1\nrules:\n  - id: never\n    effect: deny\n"

    private static let timer = #"{"name":"wait","executionType":"waiting","execution":{"seconds":1}}"#

    @Test func `a call that waits for a person is posted when he has said yes, and not before`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let server = try await ToolServer { _ in .json("1") }
        let (tenant, _) = try await External.tenant(on: policies.gateway)
        try await tenant.agent("asker", steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        for decision in ["approve", "deny"] {
            let run = try await tenant.start("asker")
            let (call, _) = try await tenant.approval(of: run)
            #expect(try await tenant.scheduled() == 1)
            let before = server.received.count
            #expect(try await tenant.decide(decision, run, call).status == 200)
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(server.received.count == before + (decision == "approve" ? 1 : 0))
            #expect(try await tenant.scheduled() == 0)
        }
        await server.close()
    }

    @Test func `a policy that denies by now ends the attempts`() async throws {
        let policies = try await PolicyGateway.running()
        let server = try await ToolServer { _ in .init(503) }
        let (tenant, _) = try await External.tenant(on: policies.gateway)
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        _ = try await server.calls()
        try policies.set(Self.denies)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.type == "tool.call.denied" && $0["reason"] == "denied_by_policy" })
        let posted = server.received.count
        #expect(try await tenant.scheduled() == 0)
        let audit = try await tenant.send("GET", "/api/audit?action=tool_call.decide").data()
        #expect(audit.contains { $0["details"]?["decision"]?.string == "deny" }, "\(audit.map { $0.rawJSON.string })")
        #expect(server.received.count == posted)
        await server.close()
    }

    @Test func `a policy that wants a person by now holds the next attempt`() async throws {
        let policies = try await PolicyGateway.running()
        let server = try await ToolServer { _ in .init(503) }
        let (tenant, _) = try await External.tenant(on: policies.gateway)
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        let posted = try #require(try await server.calls().first)
        try policies.set(Self.asks)
        let (call, _) = try await tenant.approval(of: run)
        #expect(call == posted.call)
        // Its system knows the token; nobody has approved the call yet.
        try await tenant.later(posted.call, posted.token).expectProblem(409, "approval_pending")
        #expect(try await tenant.decide("approve", run, call).status == 200)
        #expect(try await tenant.later(posted.call, posted.token).json()["applied"]?.bool == true)
        #expect(try await tenant.events(run).last?.type == "run.completed")
        #expect(try await tenant.scheduled() == 0)
        await server.close()
    }

    @Test func `a timer begins when a person has said yes`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let tenant = try await TestTenant.make(on: policies.gateway)
        try await tenant.agent("waiter", steps: [Config.calls("wait"), Config.says], tools: [Self.timer])
        let run = try await tenant.start("waiter")
        let (call, _) = try await tenant.approval(of: run)
        #expect(try await tenant.scheduled() == 0)
        #expect(try await tenant.decide("approve", run, call).status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let types = events.map(\.type)
        let approved = try #require(types.firstIndex(of: "tool.call.approved"))
        let begun = try #require(types.firstIndex(of: "tool.call.dispatched"))
        #expect(approved < begun)
    }

    @Test func `policy bounds a timer, and a call that is posted`() async throws {
        let policies = try await PolicyGateway.running()
        try policies.set("version: 1\nrules:\n  - id: short\n    effect: allow\n    limits: { timeoutSeconds: 30, maxResultBytes: 256 }\n")
        let server = try await ToolServer { _ in .json(#"{"a":"\#(String(repeating: "x", count: 5000))"}"#) }
        let (tenant, _) = try await External.tenant(on: policies.gateway)
        let long = Self.timer.replacing(#""seconds":1"#, with: #""seconds":60"#)
        let waiting = try await tenant.run("waiter", steps: [Config.calls("wait"), Config.says], tools: [long])
        #expect(try await External.outcome(tenant, waiting)["error"]?["code"]?.string == "after_deadline")
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        #expect(try await External.outcome(tenant, run)["result"]?["truncated"]?.bool == true)
        let deadline = try #require(try await server.calls().first?.body["deadline"]?.string.flatMap { Timestamp(rfc3339: $0) })
        #expect(deadline < Timestamp.now().adding(seconds: 31))
        await server.close()
    }
}
