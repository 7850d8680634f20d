import Domain
import FoundationEssentials
import Redis
import Storage
import TestSupport
import Testing

/// The scripts of tokens against a real Redis; what Postgres would say is said by the test.
struct TokenBudgetTests {
    private let tenant = TenantID.generate()
    private let day = UsageDay.today

    private func want(_ tokens: Int) -> TokenReservation {
        TokenReservation(tenant: tenant, day: day, tokens: tokens, id: UUID().uuidString)
    }

    private func budget() async throws -> (TokenBudget, RedisClient) {
        let redis = try await TestEnvironment.start().redis
        return (TokenBudget(redis), redis)
    }

    private func seed(_ budget: TokenBudget, used: Int, closedMilliseconds: Int = 0) async throws {
        guard case .unknown(let version, _) = try await budget.reserve(want(1), limit: 1_000_000) else {
            Issue.record("the day was known")
            return
        }
        #expect(try await budget.seed(tenant, day, version: version, used: used, closedMilliseconds: closedMilliseconds))
    }

    @Test func `nothing is given out before it is known what was used`() async throws {
        let (budget, _) = try await budget()
        #expect(try await budget.reserve(want(10), limit: 100) == .unknown(version: 1, mayBeFlushed: true))
        #expect(try await budget.reserve(want(10), limit: 100) == .unknown(version: 1, mayBeFlushed: true))
        #expect(try await budget.seed(tenant, day, version: 1, used: 60, closedMilliseconds: 0))
        #expect(try await budget.reserve(want(41), limit: 100) == .spent(used: 60))
        let first = want(25)
        #expect(try await budget.reserve(first, limit: 100) == .reserved)
        #expect(try await budget.reserve(want(16), limit: 100) == .contended, "it would fit but for what is held")
        #expect(try await budget.reserve(want(15), limit: 100) == .reserved)
        #expect(try await budget.reserved(tenant, day) == 40)
    }

    @Test func `a thousand askers at once never get more than the limit between them`() async throws {
        let (budget, _) = try await budget()
        try await seed(budget, used: 100)
        let wanted = (0..<1000).map { _ in want(7) }
        let granted = try await withThrowingTaskGroup(of: Int.self) { group in
            for want in wanted { group.addTask { try await budget.reserve(want, limit: 1000) == .reserved ? 7 : 0 } }
            return try await group.reduce(0, +)
        }
        #expect(granted == 896, "128 × 7, the most that fits into 900")
    }

    @Test func `what was used takes the place of what was reserved`() async throws {
        let (budget, redis) = try await budget()
        try await seed(budget, used: 0)
        // As if it had been read long ago: a settlement is then surely not in it.
        _ = try await redis.send(RedisCommand("HSET", RedisKeys.tokens(tenant, day), "seeded", "1"))
        let call = want(90)
        #expect(try await budget.reserve(call, limit: 100) == .reserved)
        #expect(try await budget.reserve(want(20), limit: 100) == .contended)
        budget.settle(call, used: 30)
        #expect(try await budget.reserve(want(70), limit: 100) == .reserved)
        #expect(try await budget.reserve(want(71), limit: 100) == .spent(used: 30))
    }

    @Test func `a settlement that may be in the sum already makes the sum be read again`() async throws {
        let (budget, _) = try await budget()
        try await seed(budget, used: 0)
        let call = want(10)
        #expect(try await budget.reserve(call, limit: 100) == .reserved)
        budget.settle(call, used: 10)
        #expect(try await budget.reserve(want(1), limit: 100) == .unknown(version: 2, mayBeFlushed: false))
    }

    @Test func `a sum that a settlement overtook is not taken`() async throws {
        let (budget, _) = try await budget()
        try await seed(budget, used: 0)
        let (first, second) = (want(10), want(10))
        #expect(try await budget.reserve(first, limit: 100) == .reserved)
        #expect(try await budget.reserve(second, limit: 100) == .reserved)
        budget.settle(first, used: nil)
        guard case .unknown(let version, false) = try await budget.reserve(want(1), limit: 100) else {
            Issue.record("a call whose end is not known leaves the sum as it was")
            return
        }
        // Postgres is read here; then the other call commits and settles.
        budget.settle(second, used: 10)
        #expect(try await !budget.seed(tenant, day, version: version, used: 0, closedMilliseconds: 0))
        guard case .unknown = try await budget.reserve(want(1), limit: 100) else {
            Issue.record("the stale sum was taken")
            return
        }
    }

    @Test func `a reservation whose process was killed lapses, and the sum is read again`() async throws {
        let (budget, redis) = try await budget()
        try await seed(budget, used: 0)
        let killed = want(80)
        #expect(try await budget.reserve(killed, limit: 100) == .reserved)
        #expect(try await budget.reserve(want(50), limit: 100) == .contended)
        let held = RedisKeys.reservations(tenant, day)
        let member = try #require(try await redis.send(RedisCommand("ZRANGE", held, "0", "-1")).array?.first?.string)
        _ = try await redis.send(RedisCommand("ZADD", held, "1", member))
        // It may have committed 30 before it was killed: only Postgres knows.
        guard case .unknown(let version, false) = try await budget.reserve(want(50), limit: 100) else {
            Issue.record("a lapsed reservation leaves the sum as it was")
            return
        }
        #expect(try await budget.seed(tenant, day, version: version, used: 30, closedMilliseconds: 0))
        #expect(try await budget.reserve(want(71), limit: 100) == .spent(used: 30))
        #expect(try await budget.reserve(want(70), limit: 100) == .reserved)
    }

    @Test func `after a flush nothing is given out until what is held was told again`() async throws {
        let (budget, redis) = try await budget()
        try await seed(budget, used: 0)
        let call = want(90)
        #expect(try await budget.reserve(call, limit: 100) == .reserved)
        _ = try await redis.send(RedisCommand("DEL", RedisKeys.tokens(tenant, day), RedisKeys.reservations(tenant, day)))
        guard case .unknown(let version, true) = try await budget.reserve(want(50), limit: 100) else {
            Issue.record("a flush was not seen")
            return
        }
        #expect(try await budget.seed(tenant, day, version: version, used: 0, closedMilliseconds: 60_000))
        guard case .reopening(let milliseconds) = try await budget.reserve(want(50), limit: 100) else {
            Issue.record("it opened before what is held was told")
            return
        }
        #expect((1...60_000).contains(milliseconds))
        budget.renew([call])
        _ = try await redis.send(RedisCommand("HDEL", RedisKeys.tokens(tenant, day), "opens"))
        #expect(try await budget.reserve(want(50), limit: 100) == .contended)
        #expect(try await budget.reserve(want(10), limit: 100) == .reserved)
        budget.renew([call])
        #expect(try await budget.reserved(tenant, day) == 100, "renewing twice counts once")
    }

    @Test func `a new day of a tenant that was seen the day before is no flush`() async throws {
        let (budget, _) = try await budget()
        try await seed(budget, used: 0)
        let next = UsageDay(daysSinceUnixEpoch: day.daysSinceUnixEpoch + 1)
        let answer = try await budget.reserve(TokenReservation(tenant: tenant, day: next, tokens: 1, id: "x"), limit: 10)
        #expect(answer == .unknown(version: 1, mayBeFlushed: false))
    }

    @Test func `what is held stays counted when redis lost the day but not its reservations`() async throws {
        let (budget, redis) = try await budget()
        try await seed(budget, used: 0)
        #expect(try await budget.reserve(want(60), limit: 100) == .reserved)
        _ = try await redis.send(RedisCommand("DEL", RedisKeys.tokens(tenant, day)))
        try await seed(budget, used: 0)
        #expect(try await budget.reserve(want(41), limit: 100) == .contended)
        #expect(try await budget.reserve(want(40), limit: 100) == .reserved)
    }

    @Test func `the largest numbers survive the way through Lua`() async throws {
        let (budget, redis) = try await budget()
        let most = Limits.maxModelTokensPerDay
        try await seed(budget, used: most / 2)
        _ = try await redis.send(RedisCommand("HSET", RedisKeys.tokens(tenant, day), "seeded", "1"))
        let call = want(most / 2 - 1)
        #expect(try await budget.reserve(call, limit: most) == .reserved)
        #expect(try await budget.reserve(want(2), limit: most) == .contended)
        budget.settle(call, used: most / 2 - 1)
        #expect(try await budget.reserve(want(2), limit: most) == .spent(used: most - 1))
        #expect(try await budget.reserve(want(1), limit: most) == .reserved)
    }
}
