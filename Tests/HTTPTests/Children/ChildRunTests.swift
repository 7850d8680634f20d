import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

extension Config {
    /// A tool that starts a run of `agent`.
    static func child(_ name: String, of agent: String, _ rest: String = "", timeoutSeconds: Int = 240) -> String {
        #"{"name":"\#(name)","executionType":"ai-agent","timeoutSeconds":\#(timeoutSeconds),"execution":{"agent":"\#(agent)"\#(rest)}}"#
    }

    /// A step that calls one tool.
    static func call(_ tool: String, _ arguments: String = "{}") -> String {
        #"{"toolCalls":[{"name":"\#(tool)","arguments":\#(arguments)}]}"#
    }
}

extension TestTenant {
    /// Runs that calls of `run` started, the first first.
    func children(of run: String) async throws -> [JSONNode] {
        try await send("GET", "/api/runs?parentRunId=\(run)&limit=200").data().reversed()
    }

    func child(of run: String) async throws -> String {
        var found: String?
        let isThere = try await eventually {
            found = try await children(of: run).first?["runId"]?.string
            return found != nil
        }
        try #require(isThere, "run \(run) has no child")
        return try #require(found)
    }

    func reaches(_ status: String, _ run: String) async throws -> Bool {
        try await eventually { try await snapshot(run)["status"]?.string == status }
    }

    /// The one outcome of a run of one call.
    func outcome(_ run: String) async throws -> JSONNode {
        let events = try await events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        return try #require(try events.last { $0.type == "tool.result.received" }?.json())
    }
}

/// Runs that calls of other runs start.
@Suite(.timeLimit(.minutes(5)))
struct ChildRunTests {
    @Test func `a call starts a run of another agent, and what that says is the call's result`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent(
            "researcher", steps: [Config.call("echo", #"{"n":1}"#), #"{"text":"You asked: {{lastUserMessage}}"}"#], tools: [Config.echo])
        let run = try await tenant.run(
            steps: [Config.call("research", #"{"topic":"tides","for":{"name":"Ada"}}"#), Config.tellsResult],
            tools: [Config.child("research", of: "researcher", #","message":"{{topic}} for {{for.name}}{{absent}}!""#)])
        let events = try await tenant.events(run)
        // Whether the parent has come to rest before the child's end is a matter of a moment.
        let types = events.map(\.type).filter { !["assistant.delta", "run.status", "run.resumed"].contains($0) }
        #expect(
            types == [
                "run.created", "run.started", "step.started", "assistant.message", "tool.call.requested", "tool.call.dispatched",
                "tool.result.received", "step.started", "assistant.message", "run.completed",
            ])
        let dispatched = try #require(events.first { $0.type == "tool.call.dispatched" })
        let child = try #require(dispatched["childRunId"])
        let result = try #require(events.first { $0.type == "tool.result.received" })
        #expect(result["result"] == "You asked: tides for Ada!" && result["source"] == "server")
        #expect(events.last { $0.type == "assistant.message" }?["text"]?.contains("You asked: tides for Ada!") == true)
        // Linked both ways, in rows and in logs.
        let call = try #require(dispatched["callId"])
        let snapshot = try await tenant.snapshot(child)
        #expect(snapshot["status"]?.string == "completed" && snapshot["agentName"]?.string == "researcher")
        #expect(snapshot["parent"]?["runId"]?.string == run && snapshot["parent"]?["callId"]?.string == call)
        #expect(snapshot["parent"]?["depth"]?.int == 1)
        #expect(try await tenant.snapshot(run)["parent"] == nil)
        let calls = try await tenant.send("GET", "/api/runs/\(run)/tool-calls").data()
        #expect(calls.count == 1 && calls[0]["childRunId"]?.string == child && calls[0]["attempts"]?.int == 1)
        let created = try #require(try await tenant.events(child).first?.json())
        #expect(created["parent"]?["runId"]?.string == run && created["parent"]?["rootRunId"]?.string == run)
        #expect(try await tenant.children(of: run).map { $0["runId"]?.string } == [child])
        #expect(try await tenant.children(of: child).isEmpty)
        try await checkAudit(tenant, run, call, child)
    }

    private func checkAudit(_ tenant: TestTenant, _ run: String, _ call: String, _ child: String) async throws {
        let rows = try await tenant.send("GET", "/api/audit?limit=200").data()
        let start = try #require(rows.first { $0["action"]?.string == "run.start" })
        #expect(start["actor"]?["kind"]?.string == "agent" && start["target"]?["id"]?.string == child)
        #expect(start["details"]?["parentRunId"]?.string == run && start["details"]?["parentCallId"]?.string == call)
        // The gate was asked about the call under the one agent's name, and about the child's under the other's.
        let decided = rows.filter { $0["action"]?.string == "tool_call.decide" }
        #expect(Set(decided.compactMap { $0["details"]?["agentName"]?.string }) == ["tester", "researcher"])
    }

    @Test func `without a message the arguments are told, and JSON that is asked for is the result`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent("plain", steps: [#"{"text":"{{lastUserMessage}}"}"#])
        try await tenant.agent("fenced", steps: [#"{"text":"```json\n{ \"a\": [1, 2] }\n```\n"}"#])
        let cases: [(agent: String, rest: String, result: String?)] = [
            ("plain", #","output":"json""#, #"{"n":[1],"q":"x"}"#), ("plain", "", #""{\"n\":[1],\"q\":\"x\"}""#),
            ("fenced", #","output":"json""#, #"{"a":[1,2]}"#), ("words", #","output":"json""#, nil),
        ]
        try await tenant.agent("words", steps: [#"{"text":"No JSON here."}"#])
        for (index, test) in cases.enumerated() {
            let run = try await tenant.run(
                "parent-\(index)", steps: [Config.call("ask", #"{"n":[1],"q":"x"}"#), Config.says],
                tools: [Config.child("ask", of: test.agent, test.rest)])
            let outcome = try await tenant.outcome(run)
            #expect(outcome["result"]?.rawJSON.string == test.result, "\(outcome.rawJSON.string)")
            #expect(outcome["error"]?["code"]?.string == (test.result == nil ? "child_output_not_json" : nil))
        }
    }

    @Test func `the version that is current at the call is run, or the one that is named`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent("helper", steps: [#"{"text":"first"}"#])
        for (index, (rest, text)) in [("", "second"), (#","version":"1""#, "first"), (#","version":"9""#, nil)].enumerated() {
            let run = try await tenant.agent(
                "parent-\(index)", steps: [Config.call("ask"), Config.says], tools: [Config.child("ask", of: "helper", rest)])
            if index == 0 {
                _ = try await tenant.client.agents.publish(
                    agent.agentId, config: Config.simulated("helper", steps: [#"{"text":"second"}"#]))
            }
            let id = try await tenant.client.runs.create(agent: .id(run.agentId), messages: [.user("Hi")]).runId
            let outcome = try await tenant.outcome(id)
            #expect(outcome["result"]?.string == text)
            #expect(outcome["error"]?["code"]?.string == (text == nil ? "agent_version_not_found" : nil))
        }
    }

    @Test func `an agent that is not there, fails or is canceled is an error that the parent's model reads`() async throws {
        let tenant = try await TestTenant.make()
        // Another tenant's agent is none.
        try await TestTenant.make().agent("stranger", steps: [Config.says])
        _ = try await tenant.client.agents.create(name: "empty")
        try await tenant.agent("broken", steps: [#"{"error":{"code":"forbidden","message":"No such luck."}}"#])
        try await tenant.agent("circles", steps: [Config.calls("echo"), Config.calls("echo")], tools: [Config.echo], maxSteps: 1)
        try await tenant.agent("asker", steps: [Config.calls("ask"), Config.says], tools: [Config.browser("ask")])
        let cases = [
            ("nobody", "agent_not_found", "no agent nobody"), ("stranger", "agent_not_found", "no agent stranger"),
            ("empty", "agent_version_not_found", "no version yet"), ("broken", "child_failed", "No such luck."),
            ("circles", "child_failed", "max_steps_reached"), ("asker", "child_canceled", "enough"),
        ]
        for (agent, code, text) in cases {
            let run = try await tenant.run(
                "of-\(agent)", steps: [Config.call("ask"), Config.tellsResult], tools: [Config.child("ask", of: agent)])
            if agent == "asker" {
                let child = try await tenant.child(of: run)
                _ = try await tenant.pendingCalls(child)
                #expect(try await tenant.send("POST", "/api/runs/\(child)/cancel", #"{"reason":"enough"}"#).status == 200)
            }
            let outcome = try await tenant.outcome(run)
            #expect(outcome["error"]?["code"]?.string == code, "\(agent): \(outcome.rawJSON.string)")
            #expect(outcome["error"]?["message"]?.string?.contains(text) == true, "\(agent): \(outcome.rawJSON.string)")
            let told = try await tenant.events(run).last { $0.type == "assistant.message" }?["text"]
            #expect(told?.contains(code) == true)
        }
    }

    @Test func `a child waits for a device while its parent waits for it`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        try await tenant.agent("reader", steps: [Config.call("fs.read", #"{"path":"a"}"#), Config.tellsResult], tools: [Config.device])
        try await device.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.run(
                steps: [Config.call("read"), Config.tellsResult], tools: [Config.child("read", of: "reader")])
            let request = try await socket.next("tool.call.request")
            let child = try await tenant.child(of: run)
            #expect(request["runId"]?.string == child)
            // Nobody works on either: both are rows.
            for waiting in [run, child] { #expect(try await tenant.reaches("waiting_tool", waiting)) }
            try await socket.answer(try #require(request["callId"]?.string), #""forty-two""#)
            #expect(try await socket.isApplied())
            #expect(try await tenant.outcome(run)["result"]?.string?.contains("forty-two") == true)
        }
    }

    @Test func `children of one step run beside each other, also where a tenant may have one run at work`() async throws {
        let tenant = try await TestTenant.limited([.concurrentRuns: 1])
        try await tenant.agent("leaf", steps: [#"{"text":"leaf of {{lastUserMessage}}"}"#])
        try await tenant.agent(
            "branch", steps: [Config.call("down"), Config.tellsResult], tools: [Config.child("down", of: "leaf", #","message":"branch""#)])
        let calls = (0..<6).map { #"{"name":"\#($0.isMultiple(of: 2) ? "leaf" : "branch")","arguments":{"n":\#($0)}}"# }
        let run = try await tenant.run(
            steps: [#"{"toolCalls":[\#(calls.joined(separator: ",")),{"name":"echo","arguments":{}}]}"#, Config.says],
            tools: [Config.child("leaf", of: "leaf"), Config.child("branch", of: "branch"), Config.echo])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        let results = events.filter { $0.type == "tool.result.received" }
        #expect(results.count == 7)
        #expect(results.filter { $0["result"]?.contains("leaf of branch") == true }.count == 3)
        let children = try await tenant.children(of: run)
        #expect(children.count == 6 && Set(children.compactMap { $0["parent"]?["callId"]?.string }).count == 6)
    }

    @Test func `a list by parent is of one's own runs, and wants an id`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent("leaf", steps: [Config.says])
        let run = try await tenant.run(steps: [Config.call("ask"), Config.says], tools: [Config.child("ask", of: "leaf")])
        _ = try await tenant.outcome(run)
        let stranger = try await TestTenant.make()
        #expect(try await stranger.children(of: run).isEmpty)
        #expect(try await tenant.children(of: run).count == 1)
        #expect(try await tenant.client.runs.list(parentRunId: run).items.first?.parentRunId == run)
        try await tenant.send("GET", "/api/runs?parentRunId=x").expectProblem(400, "invalid_query")
    }

    @Test(arguments: [
        ("{}", "/config/tools/0/execution/agent"), (#"{"agent":"a b"}"#, "/config/tools/0/execution/agent"),
        (#"{"agent":"a","version":""}"#, "/config/tools/0/execution/version"),
        (#"{"agent":"a","message":"{{a"}"#, "/config/tools/0/execution/message"),
        (#"{"agent":"a","message":"${secret.KEY}"}"#, "/config/tools/0/execution/message"),
        (#"{"agent":"a","output":"xml"}"#, "/config/tools/0/execution/output"),
        (#"{"agent":"a","tools":[]}"#, "/config/tools/0/execution/tools"),
    ])
    func `an execution that cannot be read is refused at publish`(_ execution: String, _ pointer: String) async throws {
        let tenant = try await TestTenant.make()
        let tool = #"{"name":"t","executionType":"ai-agent","execution":\#(execution)}"#
        let answer = try await tenant.send(
            "POST", "/api/agents", #"{"name":"bad","config":\#(Config.text("bad", steps: [Config.says], tools: [tool]))}"#)
        try answer.expectProblem(422, "invalid_body")
        #expect(try answer.pointers() == [pointer])
    }
}
