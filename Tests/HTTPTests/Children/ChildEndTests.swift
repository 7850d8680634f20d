import Domain
import HsafaClient
import JSON
import Redis
import Runtime
import Storage
import TestServers
import TestSupport
import Testing

/// How runs that calls started, and the runs that wait for them, come to one end: whoever ends first, whoever dies between, and how many
/// there may be.
@Suite(.timeLimit(.minutes(5)))
struct ChildEndTests {
    /// A tree of `depth` runs, each waiting for the one below, the lowest for a page; the ids from the top.
    private func tree(_ tenant: TestTenant, depth: Int = 2, timeoutSeconds: Int = 240, deadlineSeconds: Int? = nil) async throws -> [String]
    {
        try await tenant.agent("level-\(depth)", steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        for level in (0..<depth).reversed() {
            try await tenant.agent(
                "level-\(level)", steps: [Config.call("down"), Config.tellsResult],
                tools: [Config.child("down", of: "level-\(level + 1)", timeoutSeconds: timeoutSeconds)])
        }
        var runs = [
            try await tenant.client.runs.create(agent: .name("level-0"), messages: [.user("Hi")], deadlineSeconds: deadlineSeconds).runId
        ]
        for level in 0..<depth { runs.append(try await tenant.child(of: runs[level])) }
        for run in runs { #expect(try await tenant.reaches("waiting_tool", run)) }
        return runs
    }

    private func answerLowest(_ runs: [String], _ tenant: TestTenant) async throws {
        let lowest = try #require(runs.last)
        let call = try #require(try await tenant.pendingCalls(lowest).first?["callId"]?.string)
        #expect(try await tenant.answer(lowest, call, #""from below""#).json()["applied"]?.bool == true)
    }

    private func last(_ run: String, _ tenant: TestTenant) async throws -> HsafaClient.Event {
        try #require(try await tenant.events(run).last)
    }

    @Test func `a cancel of the run at the top ends all below it`() async throws {
        let tenant = try await TestTenant.make()
        let runs = try await tree(tenant)
        #expect(try await tenant.send("POST", "/api/runs/\(runs[0])/cancel").status == 200)
        for run in runs { #expect(try await last(run, tenant).type == "run.canceled") }
        #expect(try await last(runs[2], tenant)["reason"] == "parent_call_ended")
        // The page's call is over as well.
        #expect(try await tenant.send("GET", "/api/runs/\(runs[2])/tool-calls").data().first?["status"]?.string == "canceled")
    }

    @Test func `a cancel reaches a child that is at work`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent("talker", steps: [#"{"deltas":{"count":10000,"text":"w "},"delayMilliseconds":20}"#])
        let run = try await tenant.run(steps: [Config.call("ask"), Config.says], tools: [Config.child("ask", of: "talker")])
        let child = try await tenant.child(of: run)
        _ = try await tenant.events(child) { $0.type == "assistant.delta" }
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        #expect(try await last(child, tenant).type == "run.canceled")
    }

    @Test func `a call whose time runs out ends its run, and the parent goes on`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent("slow", steps: [Config.calls("ask"), Config.says], tools: [Config.browser("ask")])
        let run = try await tenant.run(
            steps: [Config.call("down"), Config.tellsResult], tools: [Config.child("down", of: "slow", timeoutSeconds: 1)])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.type == "tool.call.expired" })
        let child = try await tenant.child(of: run)
        let end = try await last(child, tenant)
        #expect(end.type == "run.canceled" || end.data.string.contains("deadline_exceeded"), "\(end.data.string)")
        let (parent, below) = (try await tenant.snapshot(run), try await tenant.snapshot(child))
        #expect(below["deadlineAt"]?.string ?? "" < parent["deadlineAt"]?.string ?? "")
    }

    @Test func `a run that fails at its deadline takes those below with it`() async throws {
        let tenant = try await TestTenant.make()
        let runs = try await tree(tenant, deadlineSeconds: 20)
        let deadlines = try await runs.asyncMap { try await tenant.snapshot($0)["deadlineAt"]?.string ?? "" }
        #expect(deadlines.sorted().last == deadlines[0], "no child has more time than its parent")
        for run in runs {
            let type = try await last(run, tenant).type
            #expect(type == "run.failed" || type == "run.canceled")
        }
        #expect(try await last(runs[0], tenant).data.string.contains("deadline_exceeded"))
    }

    @Test func `an agent that calls itself is stopped by depth`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            "mirror", steps: [Config.call("again"), Config.tellsResult], tools: [Config.child("again", of: "mirror")])
        #expect(try await tenant.events(run).last?.type == "run.completed")
        var (current, depth) = (run, 0)
        while let child = try await tenant.children(of: current).first {
            depth += 1
            #expect(child["parent"]?["depth"]?.int == depth && child["status"]?.string == "completed")
            current = try #require(child["runId"]?.string)
        }
        #expect(depth == Limits.maxChildDepth)
        #expect(try await tenant.outcome(current)["error"]?["code"]?.string == "too_deep")
    }

    @Test func `a run starts so many runs and no more, over all its steps`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent("leaf", steps: [Config.says])
        let half = Limits.maxChildrenOfRun / 2
        let call = #"{"name":"ask","arguments":{}}"#
        let step = #"{"toolCalls":[\#(Array(repeating: call, count: half + 1).joined(separator: ","))]}"#
        let run = try await tenant.run(steps: [step, step, Config.says], tools: [Config.child("ask", of: "leaf")])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        #expect(events.filter { $0.data.string.contains("too_many_children") && $0.type == "tool.result.received" }.count == 2)
        #expect(try await tenant.children(of: run).count == Limits.maxChildrenOfRun)
    }

    @Test func `below a run there are so many runs and no more`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent("leaf", steps: [Config.says])
        let run = try await tenant.run(
            steps: [Config.calls("wait"), Config.call("ask"), Config.says],
            tools: [Config.browser("wait"), Config.child("ask", of: "leaf")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let environment = tenant.gateway.environment
        let agent = try #require(try await environment.database.tenant(tenant.scope).agent(named: "leaf"))
        let id = try #require(RunID(run))
        try await environment.owner.fillTree(of: id, tenant.scope, agent, children: Limits.maxRunsOfTree)
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == true)
        #expect(try await tenant.outcome(run)["error"]?["code"]?.string == "too_many_runs")
    }

    @Test func `a process with one slot carries a tree of runs`() async throws {
        let gateway = try await TestGateway.running(in: try await .fresh(), maxConcurrentRuns: 1)
        let tenant = try await TestTenant.make(on: gateway)
        let runs = try await tree(tenant)
        try await answerLowest(runs, tenant)
        #expect(try await tenant.outcome(runs[0])["result"]?.string?.contains("from below") == true)
    }

    @Test func `children count among the runs that a tenant may create a minute`() async throws {
        let tenant = try await TestTenant.limited([.runsPerMinute: 2])
        let (redis, key) = (tenant.gateway.environment.redis, RedisKeys.limit(tenant.scope.tenantID, .runs))
        /// The moment at which all of the limit is there again, in µs: each run moves it on by half a minute.
        func whole() async throws -> Double { try await redis.send(RedisCommand("GET", key)).string.flatMap { Double($0) } ?? 0 }
        try await tenant.agent("leaf", steps: [Config.says])
        let run = try await tenant.run(
            steps: [Config.calls("wait"), Config.call("ask"), Config.calls("wait"), Config.call("ask"), Config.says],
            tools: [Config.browser("wait"), Config.child("ask", of: "leaf")])
        let first = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let before = try await whole()
        #expect(try await tenant.answer(run, first).json()["applied"]?.bool == true)
        var second: String?
        #expect(
            try await eventually {
                second = try await tenant.pendingCalls(run).first { $0["tool"]?.string == "wait" }?["callId"]?.string
                return second != nil && second != first
            })
        #expect(try await whole() - before >= 30_000_000, "the child took one")
        // However long this took: nothing of the limit has come back, and nothing will.
        _ = try await redis.send(RedisCommand("SET", key, "9e15", "PX", "3600000"))
        #expect(try await tenant.answer(run, try #require(second)).json()["applied"]?.bool == true)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let results = events.filter { $0.type == "tool.result.received" && $0["result"] != "ok" }
        try #require(results.count == 2, "\(events.map { $0.type + $0.data.string })")
        #expect(results[0]["result"] == "Hello.")
        #expect(results[1].data.string.contains(#""code":"run_limit_exceeded""#), "\(results[1].data.string)")
        #expect(try await tenant.children(of: run).count == 1)
    }

    // MARK: Replicas, and what dies between

    @Test func `ends are told between replicas by message alone`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let runs = try await tree(tenant)
        try await answerLowest(runs, tenant)
        #expect(try await tenant.outcome(runs[0])["result"]?.string?.contains("from below") == true)
        // The other way: `front` takes the cancel, and nothing but its own word ends those below.
        try await tenant.agent("waits", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        let top = try await tenant.run("top", steps: [Config.call("down")], tools: [Config.child("down", of: "waits")])
        let child = try await tenant.child(of: top)
        _ = try await tenant.pendingCalls(child)
        #expect(try await tenant.send("POST", "/api/runs/\(top)/cancel").status == 200)
        #expect(try await last(child, tenant).type == "run.canceled")
        #expect(back.metric("hsafa_runs_claimed_total") > 0)
    }

    @Test func `without redis parents hear of their children, and children of their parents`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let tenant = try await TestTenant.make(on: gateways[0])
        let runs = try await tree(tenant)
        redis.kill()
        try await answerLowest(runs, tenant)
        #expect(try await tenant.outcome(runs[0])["result"]?.string?.contains("from below") == true)
        try await tenant.agent("waits", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        let top = try await tenant.run("top", steps: [Config.call("down")], tools: [Config.child("down", of: "waits")])
        let child = try await tenant.child(of: top)
        #expect(try await tenant.reaches("waiting_tool", child))
        #expect(try await tenant.send("POST", "/api/runs/\(top)/cancel").status == 200)
        #expect(try await last(child, tenant).type == "run.canceled")
    }

    /// Writes an end as a process does that dies right after its commit: no notice, nothing but rows.
    private func end(_ run: String, _ tenant: TestTenant, _ decide: (RunState) -> RunTransition?) async throws {
        let (database, id) = (tenant.gateway.environment.database.tenant(tenant.scope), try #require(RunID(run)))
        let state = try #require(try await database.fold(id))
        let transition = try #require(decide(state))
        let answer = try await database.transition(transition, of: id, after: state.lastSeq, claim: nil, at: .now())
        #expect(answer.verdict == .applied)
    }

    @Test func `an end of which nobody heard is found in the rows, below and above`() async throws {
        let tenant = try await TestTenant.make()
        let runs = try await tree(tenant)
        try await end(runs[2], tenant) { RunMachine.failed($0, code: "gone", message: "It died.") }
        // The sweep tells the middle, whose own end goes on by itself.
        #expect(try await tenant.outcome(runs[1])["error"]?["message"]?.string?.contains("It died. (gone)") == true)
        #expect(try await tenant.outcome(runs[0])["result"]?.string?.contains("It died.") == true)
        let other = try await TestTenant.make()
        let tree = try await tree(other)
        try await end(tree[0], other) { RunMachine.requestCancel($0, reason: "unheard") }
        for run in tree { #expect(try await other.reaches("canceled", run)) }
        // And then there is nothing left to find.
        let claims = Claims(tenant.gateway.environment.database)
        let all = Set((runs + tree).compactMap { RunID($0) })
        #expect(try await eventually { try await claims.unsettledChildren(limit: 1000).allSatisfy { !all.contains($0.runID) } })
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
