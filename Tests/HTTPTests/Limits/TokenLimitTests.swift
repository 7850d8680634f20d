import Domain
import HsafaClient
import JSON
import Redis
import Storage
import TestServers
import TestSupport
import Testing

/// Model tokens a day, through whole gateways.
@Suite(.timeLimit(.minutes(5)))
struct TokenLimitTests {
    /// A model call that may use some 250 tokens and uses 60.
    private static let config = RawJSON(
        #"{"version":"1.0","agent":{"name":"spender"},"model":{"provider":"simulated","name":"s","maxOutputTokens":200,"script":{"steps":[{"text":"Hello.","initialDelayMilliseconds":20,"usage":{"inputTokens":20,"outputTokens":40}}]}}}"#
    )

    private func spender(_ limit: Int, on gateway: TestGateway) async throws -> TestTenant {
        let tenant = try await TestTenant.limited([.modelTokensPerDay: limit], on: gateway)
        _ = try await tenant.client.agents.create(name: "spender", config: Self.config)
        return tenant
    }

    private func start(_ client: HsafaClient) async throws -> String {
        try await client.runs.create(agent: .name("spender"), messages: [.user("Hi")]).runId
    }

    private func used(_ tenant: TestTenant) async throws -> Int {
        try await tenant.gateway.environment.database.tenant(tenant.scope).tokensUsed(on: .today).tokens
    }

    /// How runs ended: status, or the code of the failure.
    private func ends(_ tenant: TestTenant, _ runs: [String]) async throws -> [String: Int] {
        var ends: [String: Int] = [:]
        for run in runs {
            _ = try await tenant.events(run)
            let snapshot = try await tenant.snapshot(run)
            ends[snapshot["error"]?["code"]?.string ?? snapshot["status"]?.string ?? "", default: 0] += 1
        }
        return ends
    }

    @Test func `two gateways never spend more than the limit between them, also when redis is flushed meanwhile`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let limit = 1500
        let tenant = try await spender(limit, on: gateways[0])
        var runs: [String] = []
        for index in 0..<40 {
            runs.append(try await start(tenant.through(gateways[index % 2])))
            if index % 10 == 9 { _ = try await gateways[0].environment.redis.send(RedisCommand("FLUSHALL")) }
            #expect(try await used(tenant) <= limit)
        }
        let ends = try await ends(tenant, runs)
        let used = try await used(tenant)
        #expect(used <= limit)
        #expect(used == (ends["completed"] ?? 0) * 60, "\(ends)")
        #expect(used > limit - 250, "what is left is too little for another call: \(ends)")
        #expect(ends.count == 2 && (ends["token_limit_exceeded"] ?? 0) > 0, "\(ends)")
        let late = try await start(tenant.client)
        let failure = try #require(try await tenant.events(late).last)
        #expect(failure.type == "run.failed")
        let message = try #require(try failure.json()["error"]?["message"]?.string)
        #expect(message.contains("model_tokens") && message.contains("1500") && message.contains("00:00:00.000Z"))
    }

    @Test func `without redis a limited tenant's calls wait, others go on, and nothing is lost`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let gateways = try await TestGateway.pair(redis)
        let limited = try await spender(10_000, on: gateways[0])
        let free = try await TestTenant.make(on: gateways[0])
        _ = try await free.client.agents.create(name: "spender", config: Self.config)
        redis.kill()
        let waiting = try await start(limited.client)
        let other = try await start(free.client)
        #expect(try await ends(free, [other]) == ["completed": 1])
        // The other tenant's run came later and has ended: this one had its time.
        #expect(["running", "queued"].contains(try await limited.snapshot(waiting)["status"]?.string))
        #expect(try await used(limited) == 0)
        try await redis.start()
        #expect(try await ends(limited, [waiting]) == ["completed": 1])
        #expect(try await used(limited) == 60)
    }

    @Test func `a call whose model fails gives its tokens back`() async throws {
        let gateway = try await TestGateway.shared.value
        let tenant = try await TestTenant.limited([.modelTokensPerDay: 300], on: gateway)
        let failing = RawJSON(
            #"{"version":"1.0","agent":{"name":"spender"},"model":{"provider":"simulated","maxOutputTokens":200,"script":{"steps":[{"text":"x","error":{"code":"bad_request"}}]}}}"#
        )
        _ = try await tenant.client.agents.create(name: "spender", config: failing)
        for _ in 0..<3 { #expect(try await ends(tenant, [try await start(tenant.client)]) == ["model_bad_request": 1]) }
        _ = try await tenant.send("POST", "/api/agents", #"{"name":"other"}"#)
        #expect(try await used(tenant) == 0)
    }
}
