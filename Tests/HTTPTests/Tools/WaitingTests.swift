import Domain
import HsafaClient
import JSON
import Postgres
import Storage
import TestSupport
import Testing

/// Timers: a row that waits, not a task.
@Suite(.timeLimit(.minutes(5)))
struct WaitingTests {
    private static func tool(_ execution: String, _ more: String = "") -> String {
        #"{"name":"wait","executionType":"waiting","execution":\#(execution)\#(more)}"#
    }

    private static let byArgument = tool(#"{"seconds":"{{pause}}"}"#)

    private static func call(_ arguments: String) -> String { #"{"toolCalls":[{"name":"wait","arguments":\#(arguments)}]}"# }

    @Test func `a run waits without a worker until its time, and goes on by itself`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Self.call(#"{"pause":0.3}"#), Config.tellsResult], tools: [Self.byArgument])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let begun = try #require(events.first { $0.type == "tool.call.dispatched" })
        let due = try #require(begun["dueAt"].flatMap { Timestamp(rfc3339: $0) })
        let fired = try #require(try events.first { $0.type == "tool.result.received" }?.json())
        #expect(fired["source"]?.string == "server")
        #expect(try #require(fired["result"]?["firedAt"]?.string.flatMap { Timestamp(rfc3339: $0) }) >= due)
        #expect(try await tenant.scheduled() == 0)
    }

    @Test func `a run that waits holds no worker, and says why it went on`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#)])
        let call = try #require(try await tenant.pendingCalls(run).first)
        #expect(call["status"]?.string == "dispatched")
        #expect(try await tenant.snapshot(run)["status"]?.string == "waiting_tool")
        try await tenant.makeDue()
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.type == "run.resumed" && $0["reason"] == "timer" })
    }

    @Test func `a timer waits beside other calls of its step, and a time in the past is at once`() async throws {
        let tenant = try await TestTenant.make()
        let calls =
            #"{"name":"wait","arguments":{"at":"0000-01-01T00:00:00Z"}},{"name":"echo","arguments":{"a":1}},{"name":"ask","arguments":{}}"#
        let run = try await tenant.run(
            steps: [#"{"toolCalls":[\#(calls)]}"#, Config.says],
            tools: [Self.tool(#"{"until":"{{at}}"}"#), Config.echo, Config.browser("ask")])
        _ = try await tenant.events(run) { $0.type == "tool.result.received" && $0.data.string.contains("firedAt") }
        let pending = try await tenant.pendingCalls(run)
        #expect(pending.compactMap { $0["tool"]?.string } == ["ask"])
        #expect(try await tenant.answer(run, try #require(pending.first?["callId"]?.string)).status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.filter { $0.type == "tool.result.received" }.count == 3)
    }

    @Test func `a cancel ends a timer, and arguments that name no time go back to the model`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#)])
        _ = try await tenant.pendingCalls(run)
        #expect(try await tenant.scheduled() == 1)
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.canceled" && events.contains { $0.type == "tool.call.canceled" })
        #expect(try await tenant.scheduled() == 0)
        let bad = try await tenant.run(
            "bad",
            steps: [
                Self.call(#"{"pause":"soon"}"#), Self.call(#"{"pause":-1}"#), Self.call("{}"), Self.call(#"{"pause":1e300}"#),
                Self.call(#"{"pause":604801}"#), Config.says,
            ], tools: [Self.byArgument])
        let answered = try await tenant.events(bad)
        #expect(answered.last?.type == "run.completed")
        #expect(answered.filter { $0.type == "tool.result.received" && $0.data.string.contains("must be seconds") }.count == 5)
    }

    @Test func `a wait that would outlast the run or its own bound is told to the model at once`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Self.call(#"{"pause":3600}"#), Config.says], tools: [Self.byArgument], deadlineSeconds: 600)
        let bounded = try await tenant.run(
            "bounded", steps: [Self.call(#"{"pause":3600}"#), Config.says],
            tools: [Self.tool(#"{"seconds":"{{pause}}"}"#, #","timeoutSeconds":60"#)])
        for run in [run, bounded] {
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(events.contains { $0.type == "tool.result.received" && $0.data.string.contains("after_deadline") })
        }
    }

    @Test func `a timer that fills its call's time to the second fires, however late it is come to`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#, #","timeoutSeconds":3600"#)])
        let call = try #require(try await tenant.pendingCalls(run).first)
        #expect(call["deadline"]?.string == (try await tenant.snapshot(run)["deadlineAt"]?.string), "from now on only its run ends it")
        try await tenant.makeDue()
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.data.string.contains("firedAt") } && !events.contains { $0.type == "tool.call.expired" })
    }

    @Test func `a wait that never fits its time-out is refused at publish, at its place`() async throws {
        let tenant = try await TestTenant.make()
        let tool = Self.tool(#"{"seconds":61}"#, #","timeoutSeconds":60"#)
        let config = Config.text("bad", steps: [Config.says], tools: [tool])
        let answer = try await tenant.send("POST", "/api/agents", #"{"name":"bad","config":\#(config)}"#)
        try answer.expectProblem(422, "invalid_body")
        #expect(answer.text.contains("/config/tools/0/execution/seconds"))
    }

    @Test func `a version that an older build took is read, and its run is told what is wrong`() async throws {
        let tenant = try await TestTenant.make()
        let tool = Self.tool(#"{"seconds":61}"#, #","timeoutSeconds":60"#)
        let text = Config.text("old", steps: [Self.call("{}"), Config.tellsResult], tools: [tool])
        // Straight into the store, as it was when nothing was said against it.
        let (agent, _) = try await tenant.gateway.environment.makeAgent(
            tenant.scope, name: "old", config: RawJSON(trusted: Array(text.utf8)))
        let run = try await tenant.client.runs.create(agent: .id(agent.agentID.description), messages: [.user("Hi")]).runId
        #expect(try await tenant.outcome(run)["error"]?["code"]?.string == "after_deadline")
        let again = try await tenant.send("POST", "/api/agents/\(agent.agentID)/versions", #"{"version":"next","config":\#(text)}"#)
        try again.expectProblem(422, "invalid_body")
    }

    @Test func `the run's deadline ends a timer with it`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#)])
        _ = try await tenant.pendingCalls(run)
        _ = try await tenant.gateway.environment.owner.query(
            "UPDATE hsafa.runs SET deadline_at = now() - interval '1 second' WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.failed" && events.last?.data.string.contains("deadline_exceeded") == true)
        #expect(try await tenant.scheduled() == 0)
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

    /// Two gateways over one database, with all of their timers due together.
    @Test func `replicas fire no timer twice`() async throws {
        let environment = try await TestEnvironment.fresh()
        let gateways = [try await TestGateway.running(in: environment), try await TestGateway.running(in: environment)]
        let tenant = try await TestTenant.make(on: gateways[0])
        let agent = try await tenant.agent(steps: [Self.call("{}"), Config.says], tools: [Self.tool(#"{"seconds":3600}"#)])
        var runs: [String] = []
        for _ in 0..<40 { runs.append(try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId) }
        #expect(try await eventually { try await tenant.scheduled() == runs.count })
        try await tenant.makeDue()
        for run in runs {
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(events.filter { $0.type == "tool.result.received" }.count == 1)
        }
        #expect(gateways.map { $0.metric("hsafa_timers_fired_total") }.reduce(0, +) == runs.count)
        #expect(try await tenant.scheduled() == 0)
    }

    @Test(arguments: [
        #"{}"#, #"{"seconds":0}"#, #"{"seconds":1,"until":"{{a}}"}"#, #"{"seconds":"soon"}"#, #"{"until":"2020-01-01T00:00:00Z"}"#,
        #"{"seconds":1,"x":1}"#, #"{"seconds":604801}"#,
    ])
    func `an execution that names no time is refused at publish`(_ execution: String) async throws {
        let tenant = try await TestTenant.make()
        let answer = try await tenant.send(
            "POST", "/api/agents", #"{"name":"bad","config":\#(Config.text("bad", steps: [Config.says], tools: [Self.tool(execution)]))}"#)
        try answer.expectProblem(422, "invalid_body")
    }
}
