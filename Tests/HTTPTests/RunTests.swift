import Domain
import HsafaClient
import JSON
import Testing

struct RunTests {
    static let hi = #""initialMessages":[{"role":"user","content":"Hi"}]"#

    @Test func `a run is created by the agent's id or its name, and goes to its end`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(steps: [#"{"texts":["Hel","lo"],"usage":{"inputTokens":3,"outputTokens":2}}"#])
        for reference in [#""agentId":"\#(agent.agentId)""#, #""agentName":"tester""#] {
            let created = try await tenant.send("POST", "/api/runs", #"{\#(reference),\#(Self.hi),"metadata":{"ticket":7}}"#)
            #expect(created.status == 201)
            let run = try created.string("runId")
            #expect(try created.string("status") == "queued")
            #expect(try created.string("streamUrl") == "/api/runs/\(run)/stream")
            #expect(created.header("Location") == "/api/runs/\(run)")
            let types = try await tenant.events(run).map(\.type).filter { $0 != "assistant.delta" }
            #expect(types == ["run.created", "run.started", "step.started", "assistant.message", "run.completed"])
            let snapshot = try await tenant.snapshot(run)
            #expect(snapshot["status"]?.string == "completed")
            #expect(snapshot["agentName"]?.string == "tester")
            #expect(snapshot["agentVersionId"]?.string == agent.currentVersionId)
            #expect(snapshot["metadata"]?["ticket"]?.int == 7)
            #expect(snapshot["usage"]?["inputTokens"]?.int == 3)
            #expect(snapshot["usage"]?["outputTokens"]?.int == 2)
            #expect(snapshot["pendingCalls"]?.count == 0)
            #expect(snapshot["finishedAt"]?.string != nil)
            #expect(snapshot["messages"] == nil)
        }
    }

    @Test func `a run of what is not there or cannot run is refused`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.send("POST", "/api/runs", #"{"agentId":"\#(unknownID())",\#(Self.hi)}"#).expectProblem(404, "agent_not_found")
        try await tenant.send("POST", "/api/runs", #"{"agentName":"nobody",\#(Self.hi)}"#).expectProblem(404, "agent_not_found")
        _ = try await tenant.client.agents.create(name: "empty")
        try await tenant.send("POST", "/api/runs", #"{"agentName":"empty",\#(Self.hi)}"#).expectProblem(409, "no_version")
        let agent = try await tenant.agent(steps: [Config.says])
        let stranger = try #require(try await tenant.agent("other", steps: [Config.says]).currentVersionId)
        for version in [stranger, unknownID()] {
            try await tenant.send("POST", "/api/runs", #"{"agentId":"\#(agent.agentId)","agentVersionId":"\#(version)",\#(Self.hi)}"#)
                .expectProblem(404, "agent_version_not_found")
        }
        let bodies = [
            (#"{\#(Self.hi)}"#, "/agentId"), (#"{"agentName":"tester","agentId":"\#(agent.agentId)",\#(Self.hi)}"#, "/agentName"),
            (#"{"agentName":"tester"}"#, "/initialMessages"), (#"{"agentName":"tester","initialMessages":[]}"#, "/initialMessages"),
            (#"{"agentName":"tester","initialMessages":[{"role":"tool","content":"x"}]}"#, "/initialMessages/0/role"),
            (#"{"agentName":"tester","deadlineSeconds":0,\#(Self.hi)}"#, "/deadlineSeconds"),
            (#"{"agentName":"tester","metadata":[],\#(Self.hi)}"#, "/metadata"),
        ]
        for (body, pointer) in bodies {
            let answer = try await tenant.send("POST", "/api/runs", body)
            try answer.expectProblem(422, "invalid_body")
            #expect(try answer.pointers() == [pointer])
        }
    }

    @Test func `an older version can be run`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(steps: [#"{"text":"first"}"#])
        _ = try await tenant.client.agents.publish(agent.agentId, config: Config.simulated("tester", steps: [#"{"text":"second"}"#]))
        for (version, text) in [(agent.currentVersionId, "first"), (nil, "second")] {
            let run = try await tenant.client.runs.create(agent: .id(agent.agentId), agentVersionId: version, messages: [.user("Hi")])
            #expect(try await tenant.events(run.runId).first { $0.type == "assistant.message" }?["text"] == text)
        }
    }

    @Test func `a run that continues another carries its messages`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(
            steps: [Config.calls("echo"), #"{"text":"You said {{lastUserMessage}}"}"#], tools: [Config.echo])
        var previous: String?
        for word in ["one", "two", "three"] {
            let run = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user(word)], previousRunId: previous)
            _ = try await tenant.events(run.runId)
            previous = run.runId
        }
        let snapshot = try await tenant.snapshot(try #require(previous), "?include=messages")
        let messages = try Array(#require(snapshot["messages"]?.elements))
        #expect(
            messages.map { $0["role"]?.string } == Array(repeating: ["user", "assistant", "tool", "assistant"], count: 3).flatMap { $0 })
        #expect(
            messages.filter { $0["role"]?.string == "user" }.map { $0["content"]?.string } == ["one", "two", "three"])
        #expect(messages.last?["content"]?.string == "You said three")
        try await tenant.send("GET", "/api/runs/\(try #require(previous))?include=everything").expectProblem(400, "invalid_query")
    }

    @Test func `a run that is not finished cannot be continued`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        _ = try await tenant.pendingCalls(run)
        try await tenant.send("POST", "/api/runs", #"{"agentName":"tester","previousRunId":"\#(run)",\#(Self.hi)}"#)
            .expectProblem(409, "previous_run_not_finished")
        try await tenant.send("POST", "/api/runs", #"{"agentName":"tester","previousRunId":"\#(unknownID())",\#(Self.hi)}"#)
            .expectProblem(404, "previous_run_not_found")
    }

    @Test func `runs are listed newest first, by status, agent and time`() async throws {
        let tenant = try await TestTenant.make()
        var done: [String] = []
        for name in ["a", "b", "a2"] {
            done.append(try await tenant.run(name, steps: [Config.says]))
            _ = try await tenant.events(try #require(done.last))
        }
        let waiting = try await tenant.run("w", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        _ = try await tenant.pendingCalls(waiting)
        func ids(_ query: String) async throws -> [String] {
            let answer = try await tenant.send("GET", "/api/runs\(query)")
            #expect(answer.status == 200, "\(answer.text)")
            return try (answer.json()["data"]?.elements).map { $0.compactMap { $0["runId"]?.string } } ?? []
        }
        #expect(try await ids("") == [waiting] + done.reversed())
        #expect(try await ids("?status=waiting_tool") == [waiting])
        #expect(try await ids("?status=completed") == done.reversed())
        #expect(try await ids("?status=failed") == [])
        let second = try await tenant.snapshot(done[1])
        #expect(try await ids("?agentId=\(try #require(second["agentId"]?.string))") == [done[1]])
        let moment = try #require(second["createdAt"]?.string)
        #expect(try await ids("?createdAfter=\(moment)").contains(waiting))
        #expect(try await !ids("?createdAfter=\(moment)").contains(done[0]))
        #expect(try await ids("?createdBefore=\(moment)") == [done[0]])
        // Before any id: the bounds that ids are looked up by must not turn over.
        #expect(try await ids("?createdAfter=1970-01-01T00:00:00Z") == [waiting] + done.reversed())
        #expect(try await ids("?createdBefore=1970-01-01T00:00:00Z") == [])
        #expect(try await ids("?status=completed&limit=2") == [done[2], done[1]])
    }

    @Test func `events are paged by seq and filtered by type`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [#"{"deltas":{"count":10,"text":"w "},"delayMilliseconds":2}"#])
        let all = try await tenant.events(run)
        #expect(all.map(\.seq) == Array(1...all.count))
        var paged: [HsafaClient.Event] = []
        var after: Int?
        repeat {
            let page = try await tenant.client.runs.events(run, after: after, limit: 3)
            paged += page.items
            after = page.nextCursor.flatMap { Int($0) }
            if let after { #expect(after == page.items.last?.seq) }
        } while after != nil
        // What a watcher got live and what history tells are the same bytes.
        #expect(paged.map(\.raw) == all.map(\.raw))
        let some = try await tenant.client.runs.events(run, types: ["run.created", "assistant.message"]).items
        #expect(some.map(\.type) == ["run.created", "assistant.message"])
        for query in ["types=run.odd", "types=", "after=-1", "after=x", "limit=1001", "after=1&cursor=1"] {
            try await tenant.send("GET", "/api/runs/\(run)/events?\(query)").expectProblem(400, "invalid_query")
        }
        #expect(try await tenant.client.runs.events(run, after: all.count).items.isEmpty)
    }

    @Test func `a finished run that is canceled is answered as it is`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.says])
        let last = try await tenant.events(run).last?.seq
        let answer = try await tenant.send("POST", "/api/runs/\(run)/cancel")
        #expect(answer.status == 200)
        #expect(try answer.string("status") == "completed")
        #expect(try answer.json()["lastSeq"]?.int == last)
    }

    @Test func `a run whose model speaks ends soon after it was canceled`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [#"{"deltas":{"count":1000,"text":"w "},"delayMilliseconds":50}"#])
        _ = try await tenant.events(run) { $0.type == "assistant.delta" }
        let answer = try await tenant.send("POST", "/api/runs/\(run)/cancel", #"{"reason":"enough"}"#)
        #expect(answer.status == 200)
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.canceled")
        #expect(events.last?["reason"] == "enough")
        #expect(events.filter { $0.type == "run.cancel_requested" }.count == 1)
    }

    @Test func `a run that waits is canceled at once, with its calls`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").string("status") == "canceled")
        let types = try await tenant.events(run).map(\.type).suffix(3)
        #expect(types == ["run.cancel_requested", "tool.call.canceled", "run.canceled"])
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tool-calls").json()["data"]?[0]?["status"]?.string == "canceled")
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == false)
    }

    @Test func `a run that does not end before its deadline fails`() async throws {
        let tenant = try await TestTenant.make()
        for (name, step) in [("waits", Config.calls("ask")), ("speaks", #"{"initialDelayMilliseconds":30000,"text":"late"}"#)] {
            let run = try await tenant.run(name, steps: [step], tools: [Config.browser("ask")], deadlineSeconds: 1)
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.failed")
            let snapshot = try await tenant.snapshot(run)
            #expect(snapshot["status"]?.string == "failed")
            #expect(snapshot["error"]?["code"]?.string == "deadline_exceeded")
        }
    }
}
