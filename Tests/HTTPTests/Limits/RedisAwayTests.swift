import Domain
import HsafaClient
import JSON
import Redis
import Runtime
import Storage
import TestServers
import TestSupport
import Testing

extension TestGateway {
    /// Two gateways that both work on runs, over a Redis of their own.
    static func pair(
        _ redis: ThrowawayRedis, _ configure: @Sendable (inout GatewayConfiguration) -> Void = { _ in }
    ) async throws -> [TestGateway] {
        let environment = try await TestEnvironment.fresh(redis: redis.url)
        // Redis' own time limits: it is to be missed here.
        let configuration = try RedisConfiguration(url: redis.url)
        return [
            try await running(in: environment, maxConcurrentRuns: 8, redis: configuration, configure),
            try await running(in: environment, maxConcurrentRuns: 8, redis: configuration, configure),
        ]
    }
}

/// Rates and places while Redis is away.
@Suite(.timeLimit(.minutes(5)))
struct RedisAwayTests {
    @Test func `requests go on without redis, held to the same bounds by each process`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let tenant = try await TestTenant.limited([.requestsPerSecond: 1, .requestBurst: 30, .streams: 1], on: gateways[0])
        let run = try await tenant.waitingRun()
        redis.kill()
        let start = ContinuousClock.now
        var first = try await EventStream.open(tenant, run)
        #expect(try await first.receive())
        try await tenant.send("GET", "/api/runs/\(run)/stream").expectProblem(429, "stream_limit_exceeded")
        var granted = 0
        var refused: Answer?
        // All at once: one after the other they might be slower than what the rate grows by.
        for _ in 0..<20 where refused == nil {
            try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<60 { group.addTask { try await tenant.send("GET", "/api/agents") } }
                for try await answer in group {
                    if answer.status == 200 { granted += 1 } else { refused = answer }
                }
            }
        }
        let grown = Int((ContinuousClock.now - start).components.seconds) + 1
        #expect((28...30 + grown).contains(granted), "\(granted)")
        try #require(refused).expectProblem(429, "request_limit_exceeded")
        #expect(refused?.header("RateLimit-Policy") == #""requests";q=30;w=30"#)
        #expect(gateways[0].metric("hsafa_limit_local_decisions_total") > 0)
    }

    @Test func `runs and devices are held to their limits without redis, by each process`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let tenant = try await TestTenant.limited([.runsPerMinute: 3, .devices: 1], on: gateways[0])
        try await tenant.agent(steps: [Config.says])
        let (one, two) = (try await tenant.device("one"), try await tenant.device("two"))
        redis.kill()
        let body = #"{"agentName":"tester","initialMessages":[{"role":"user","content":"Hi"}]}"#
        var created: [String] = []
        var refused: Answer?
        let start = ContinuousClock.now
        // The rate grows by one in 20 s, so that it is reached however slow this machine is.
        while refused == nil, created.count < 3 + Int((ContinuousClock.now - start).components.seconds) / 20 + 1 {
            let answer = try await tenant.send("POST", "/api/runs", body)
            if answer.status == 201 { created.append(try answer.string("runId")) } else { refused = answer }
        }
        try #require(refused).expectProblem(429, "run_limit_exceeded")
        #expect(created.count >= 3)
        // What was let in is carried out without Redis, too.
        for run in created { #expect(try await tenant.events(run).last?.type == "run.completed") }
        try await one.connected(gateways[0]) { _ async throws in
            try await RawSocket.open(gateways[0]) { socket async throws in
                try await socket.register(two)
                #expect(try await socket.next("error")["code"]?.string == "device_limit_exceeded")
                #expect(try await socket.closing() == DeviceCloseCode.tooManyConnections)
            }
        }
    }

    @Test func `a redis that answers nothing stalls the request that finds it out, and no other`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis) { $0.intervals.redisPause = .seconds(3600) }
        let tenant = try await TestTenant.limited([.requestsPerSecond: 1, .requestBurst: 1000], on: gateways[0])
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
        let decided = gateways[0].metric("hsafa_limit_local_decisions_total")
        redis.pause()
        defer { redis.resume() }
        for _ in 0..<100 { #expect(try await tenant.send("GET", "/api/agents").status == 200) }
        #expect(gateways[0].metric("hsafa_limit_redis_pauses_total") == 1)
        #expect(gateways[0].metric("hsafa_limit_local_decisions_total") == decided + 100)
    }

    @Test func `limits are redis' again when it answers again`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let tenant = try await TestTenant.limited([.requestsPerSecond: 1, .requestBurst: 1000], on: gateways[0])
        redis.pause()
        defer { redis.resume() }
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
        #expect(gateways[0].metric("hsafa_limit_local_decisions_total") == 1)
        redis.resume()
        // The count of local decisions stands still.
        let isBack = try await eventually {
            let before = gateways[0].metric("hsafa_limit_local_decisions_total")
            _ = try await tenant.send("GET", "/api/agents")
            return gateways[0].metric("hsafa_limit_local_decisions_total") == before
        }
        #expect(isBack)
    }

    @Test func `streams that were opened without redis are counted when it is back`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let tenant = try await TestTenant.limited([.streams: 1], on: gateways[0])
        let run = try await tenant.waitingRun()
        redis.kill()
        var stream = try await EventStream.open(tenant, run)
        #expect(try await stream.receive())
        try await redis.start()
        #expect(
            try await eventually {
                try await TestTenant.isRefused(tenant.through(gateways[1]), run)
            })
        #expect(stream.status == 200)
    }
}

extension TestTenant {
    fileprivate static func isRefused(_ client: HsafaClient, _ run: String) async throws -> Bool {
        try await EventStream.open(client, run).status == 429
    }
}
