import Domain
import HsafaClient
import JSON
import Postgres
import TestSupport
import Testing

/// Timers: a row that waits, not a task.
struct WaitingTests {
    private static func tool(_ execution: String) -> String { #"{"name":"wait","executionType":"waiting","execution":\#(execution)}"# }

    private static func call(_ arguments: String) -> String { #"{"toolCalls":[{"name":"wait","arguments":\#(arguments)}]}"# }

    private static func scheduled(_ tenant: TestTenant) async throws -> Int {
        try await tenant.gateway.environment.owner.query(
            "SELECT count(*) FROM hsafa.scheduled_calls WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone
        ).first?.decode(0, as: Int.self) ?? -1
    }

    @Test func `a run waits without a worker until its time, and goes on by itself`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Self.call(#"{"pause":0.3}"#), Config.tellsResult], tools: [Self.tool(#"{"seconds":"{{pause}}"}"#)])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.type == "run.status" && $0["status"] == "waiting_tool" })
        #expect(events.contains { $0.type == "run.resumed" && $0["reason"] == "timer" })
        let due = try #require(events.first { $0.type == "tool.call.requested" }?["dueAt"].flatMap { Timestamp(rfc3339: $0) })
        let fired = try #require(events.first { $0.type == "tool.result.received" }?.json()["result"]?["firedAt"]?.string)
        #expect(try #require(Timestamp(rfc3339: fired)) >= due)
        #expect(try await eventually(within: 60) { try await Self.scheduled(tenant) == 0 })
    }

    @Test func `a timer waits beside other calls of its step, and a time in the past is at once`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [
                #"{"toolCalls":[{"name":"wait","arguments":{"at":"2020-01-01T00:00:00Z"}},{"name":"echo","arguments":{"a":1}},{"name":"ask","arguments":{}}]}"#,
                Config.says,
            ], tools: [Self.tool(#"{"until":"{{at}}"}"#), Config.echo, Config.browser("ask")])
        let calls = try await tenant.pendingCalls(run)
        let ask = try #require(calls.first { $0["tool"]?.string == "ask" }?["callId"]?.string)
        #expect(try await tenant.answer(run, ask).status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.filter { $0.type == "tool.result.received" }.count == 3)
    }

    @Test func `a cancel ends a timer, and arguments that name no time go back to the model`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#)])
        _ = try await tenant.pendingCalls(run)
        #expect(try await Self.scheduled(tenant) == 1)
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.canceled" && events.contains { $0.type == "tool.call.canceled" })
        let bad = try await tenant.run(
            "bad", steps: [Self.call(#"{"pause":"soon"}"#), Self.call(#"{"pause":-1}"#), Self.call("{}"), Config.says],
            tools: [Self.tool(#"{"seconds":"{{pause}}"}"#)])
        let answered = try await tenant.events(bad)
        #expect(answered.last?.type == "run.completed")
        #expect(answered.filter { $0.type == "tool.result.received" && $0.data.string.contains("must be seconds") }.count == 3)
    }

    @Test func `what a process took and did not finish is taken again`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#)])
        _ = try await tenant.pendingCalls(run)
        // Another process has taken it and died: its lease is over, as its attempts say.
        _ = try await tenant.gateway.environment.owner.query(
            "UPDATE hsafa.scheduled_calls SET due_at = now() - interval '1 second', attempts = 3 WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone)
        #expect(try await tenant.events(run).last?.type == "run.completed")
    }

    @Test(arguments: [
        #"{}"#, #"{"seconds":0}"#, #"{"seconds":1,"until":"{{a}}"}"#, #"{"seconds":"soon"}"#, #"{"until":"2020-01-01T00:00:00Z"}"#,
        #"{"seconds":1,"x":1}"#,
    ])
    func `an execution that names no time is refused at publish`(_ execution: String) async throws {
        let tenant = try await TestTenant.make()
        let answer = try await tenant.send(
            "POST", "/api/agents", #"{"name":"bad","config":\#(Config.text("bad", steps: [Config.says], tools: [Self.tool(execution)]))}"#)
        try answer.expectProblem(422, "invalid_body")
    }
}
