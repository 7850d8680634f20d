import Domain
import FoundationEssentials
import Redis
import Storage
import TestSupport
import Testing

/// The script of rates against a real Redis; each test has a tenant of its own.
struct RateLimitTests {
    private let tenant = TenantID.generate()

    private func question(requests: (Int, burst: Int), runs: Int? = nil, cost: Int = 1) -> RateQuestion {
        var policies = [RatePolicy(.requests, perPeriod: requests.0, periodSeconds: 1, burst: requests.burst)]
        if let runs { policies.append(RatePolicy(.runs, perPeriod: runs, periodSeconds: 60, burst: runs)) }
        return RateQuestion(tenant, policies, cost: cost)
    }

    @Test func `a burst is granted to the last unit, and then it says how long to wait`() async throws {
        let rates = RateLimits(try await TestEnvironment.start().redis)
        // One an hour, so that nothing grows back while the test runs.
        let policy = RatePolicy(.requests, perPeriod: 1, periodSeconds: 3600, burst: 10)
        let question = RateQuestion(tenant, [policy])
        for taken in 1...10 {
            let answer = try await rates.ask(question)
            #expect(answer.refusal == nil)
            #expect(answer.first?.remaining == 10 - taken)
        }
        let refused = try await rates.ask(question)
        #expect(refused.refusal?.name == .requests)
        #expect(try #require(refused.refusal?.retryMicroseconds) > 3_500_000_000)
        #expect(try #require(refused.refusal?.retryMicroseconds) <= 3_600_000_000)
        #expect(refused.first?.remaining == 0)
        #expect(try #require(refused.first?.resetSeconds) <= 36_000)
    }

    @Test func `two hundred askers at once get exactly the burst between them, over several clients`() async throws {
        let environment = try await TestEnvironment.start()
        let clients = [environment.redis, try await TestEnvironment.fresh().redis]
        let question = RateQuestion(tenant, [RatePolicy(.requests, perPeriod: 1, periodSeconds: 3600, burst: 37)])
        let granted = try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<200 {
                group.addTask { try await RateLimits(clients[index % 2]).ask(question).refusal == nil }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(granted == 37)
    }

    @Test func `of two rates both are taken or none`() async throws {
        let rates = RateLimits(try await TestEnvironment.start().redis)
        let slow = RatePolicy(.requests, perPeriod: 1, periodSeconds: 3600, burst: 20)
        let both = RateQuestion(tenant, [slow, RatePolicy(.runs, perPeriod: 3, periodSeconds: 3600, burst: 3)])
        for _ in 0..<3 { #expect(try await rates.ask(both).refusal == nil) }
        for _ in 0..<5 {
            let answer = try await rates.ask(both)
            #expect(answer.refusal?.name == .runs)
            #expect(answer.first?.remaining == 17, "a refused run takes no request")
            #expect(answer.second?.remaining == 0)
        }
        let looked = try await rates.ask(RateQuestion(tenant, both.policies, cost: 0))
        #expect(looked.refusal == nil, "looking is never refused")
        #expect(looked.first?.remaining == 17)
        #expect(looked.second?.remaining == 0)
        for _ in 0..<17 { #expect(try await rates.ask(RateQuestion(tenant, [slow])).refusal == nil) }
        #expect(try await rates.ask(RateQuestion(tenant, [slow])).refusal?.name == .requests)
    }

    @Test func `a lowered limit holds at once, and never locks out for longer than its window`() async throws {
        let rates = RateLimits(try await TestEnvironment.start().redis)
        let wide = RateQuestion(tenant, [RatePolicy(.requests, perPeriod: 1, periodSeconds: 3600, burst: 1000)])
        for _ in 0..<500 { _ = try await rates.ask(wide) }
        let narrow = try await rates.ask(question(requests: (10, burst: 10)))
        #expect(try #require(narrow.refusal?.retryMicroseconds) <= 100_000)
    }

    @Test func `it goes on after the server forgot its scripts and its keys`() async throws {
        let redis = try await TestEnvironment.start().redis
        let rates = RateLimits(redis)
        let question = RateQuestion(tenant, [RatePolicy(.requests, perPeriod: 1, periodSeconds: 3600, burst: 2)])
        #expect(try await rates.ask(question).first?.remaining == 1)
        _ = try await redis.send(RedisCommand("SCRIPT", "FLUSH"))
        #expect(try await rates.ask(question).first?.remaining == 0)
        _ = try await redis.send(RedisCommand("DEL", RedisKeys.limit(tenant, .requests)))
        #expect(try await rates.ask(question).first?.remaining == 1)
    }

    @Test func `what redis keeps of a rate goes when it means nothing any more`() async throws {
        let redis = try await TestEnvironment.start().redis
        _ = try await RateLimits(redis).ask(question(requests: (1000, burst: 10)))
        let life = try await redis.send(RedisCommand("PTTL", RedisKeys.limit(tenant, .requests))).int
        #expect(try #require(life) <= 2)
    }

    // MARK: Holders

    private func holder(_ member: String, limit: Int = 2) -> Holder {
        Holder(tenant: tenant, name: .streams, member: member, limit: limit)
    }

    @Test func `places are given to as many holders as there are, and again when one is released`() async throws {
        let redis = try await TestEnvironment.start().redis
        let (rates, holders) = (RateLimits(redis), Holders(redis))
        let question = question(requests: (1000, burst: 1000))
        #expect(try await rates.ask(question, holding: holder("a")).refusal == nil)
        #expect(try await rates.ask(question, holding: holder("b")).refusal == nil)
        let refused = try await rates.ask(question, holding: holder("c"))
        #expect(refused.refusal == RateAnswer.Refusal(name: .streams, retryMicroseconds: nil))
        #expect(try await rates.ask(question, holding: holder("a")).refusal == nil, "a holder keeps its place")
        #expect(try await holders.count(tenant, [.streams, .devices]) == [2, 0])
        holders.release(tenant, .streams, member: "a")
        #expect(try await rates.ask(question, holding: holder("c")).refusal == nil)
    }

    @Test func `a holder that says nothing any more is gone, and one that is renewed stays`() async throws {
        let redis = try await TestEnvironment.start().redis
        let (rates, holders) = (RateLimits(redis), Holders(redis))
        let question = question(requests: (1000, burst: 1000))
        for member in ["killed", "living"] { _ = try await rates.ask(question, holding: holder(member)) }
        // As if the holders' time were over: their process said nothing for so long.
        for member in ["killed", "living"] {
            _ = try await redis.send(RedisCommand("ZADD", RedisKeys.limit(tenant, .streams), "1", member))
        }
        holders.renew([(tenant: tenant, name: .streams, members: ["living"])])
        #expect(try await rates.ask(question, holding: holder("next")).refusal == nil)
        #expect(try await rates.ask(question, holding: holder("over")).refusal?.name == .streams)
        #expect(try await redis.send(RedisCommand("ZRANGE", RedisKeys.limit(tenant, .streams), "0", "-1")).array?.count == 2)
    }

    @Test func `holders come back after redis lost them, also more than one command holds`() async throws {
        let redis = try await TestEnvironment.start().redis
        let holders = Holders(redis)
        let members = (0..<Limits.holdersPerRenewal + 7).map { "member-\($0)" }
        holders.renew([(tenant: tenant, name: .devices, members: members)])
        #expect(try await holders.count(tenant, [.devices]) == [members.count])
    }
}
