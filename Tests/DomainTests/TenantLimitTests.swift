import Domain
import JSON
import Testing

struct TenantLimitTests {
    private func patch(_ text: String) throws -> TenantLimitPatch {
        try TenantLimitPatch(reading: try JSONDocument(parsing: Array(text.utf8)).root, at: "/limits")
    }

    @Test func `a patch sets, gives back and leaves`() throws {
        let patch = try patch(#"{"requestsPerSecond":50,"streams":null}"#)
        #expect(patch.changes == [.requestsPerSecond: 50, .streams: nil])
        #expect(patch.json.string == #"{"requestsPerSecond":50,"streams":null}"#)
        #expect(try self.patch("{}").isEmpty)
    }

    @Test(arguments: [
        (#"{"requestsPerSecond":0}"#, "/limits/requestsPerSecond"), (#"{"requestBurst":-1}"#, "/limits/requestBurst"),
        (#"{"runsPerMinute":1000001}"#, "/limits/runsPerMinute"), (#"{"modelTokensPerDay":1.5}"#, "/limits/modelTokensPerDay"),
        (#"{"streams":"many"}"#, "/limits/streams"), (#"{"requestPerSecond":5}"#, "/limits/requestPerSecond"), ("[]", "/limits"),
    ])
    func `a patch that is wrong is refused with its pointer`(_ text: String, _ pointer: String) {
        let violation = #expect(throws: JSONViolation.self) { try patch(text) }
        #expect(violation?.pointer == pointer)
    }

    @Test func `overrides change the defaults and nothing else, and what the database holds never locks a tenant out`() {
        var expected = TenantLimits()
        expected.runsPerMinute = 7
        expected.modelTokensPerDay = 1000
        let stored = TenantLimitOverrides(
            stored: RawJSON(#"{"runsPerMinute":7,"modelTokensPerDay":1000,"streams":0,"agents":"x","ofALaterVersion":1}"#))
        #expect(TenantLimits().applying(stored) == expected)
        #expect(TenantLimits().applying(TenantLimitOverrides(stored: RawJSON("[1"))) == TenantLimits())
        #expect(TenantLimitOverrides(stored: stored.json) == stored)
    }

    @Test func `every default lies within what an operator can set`() {
        var limits = TenantLimits()
        for field in LimitField.allCases { limits.set(field, to: field.range.upperBound) }
        #expect(limits.modelTokensPerDay == Limits.maxModelTokensPerDay)
        let defaults = TenantLimits()
        #expect(LimitField.requestsPerSecond.range.contains(defaults.requestsPerSecond))
        #expect(LimitField.concurrentRuns.range.contains(defaults.concurrentRuns))
    }

    @Test func `a rate gives its burst at once and then one unit an interval`() {
        let policy = RatePolicy(.requests, perPeriod: 10, periodSeconds: 1, burst: 5)
        var arrival = 0.0
        for _ in 0..<5 { #expect(policy.take(&arrival, at: 1_000_000) == nil) }
        #expect(policy.take(&arrival, at: 1_000_000) == 100_000)
        #expect(policy.standing(arrival, at: 1_000_000) == RateStanding(remaining: 0, resetMicroseconds: 500_000))
        #expect(policy.take(&arrival, at: 1_099_999) != nil)
        #expect(policy.take(&arrival, at: 1_100_000) == nil)
        #expect(policy.take(&arrival, at: 1_100_000) != nil)
        #expect(policy.standing(arrival, at: 9_000_000) == RateStanding(remaining: 5, resetMicroseconds: 0))
    }

    @Test func `a rate over a long time is the rate`() {
        let policy = RatePolicy(.requests, perPeriod: 7, periodSeconds: 1, burst: 3)
        var arrival = 0.0
        var granted = 0
        for tick in 0..<100_000 where policy.take(&arrival, at: Double(tick) * 1000) == nil { granted += 1 }
        #expect((700...703).contains(granted))
    }

    @Test func `a clock that went back, or a rate that was lowered, never locks out for longer than a window`() {
        let policy = RatePolicy(.runs, perPeriod: 60, periodSeconds: 60, burst: 60)
        var arrival = 1e15
        #expect(policy.take(&arrival, at: 0).map { $0 <= 1_000_000 } == true)
    }

    @Test func `a policy is shown as its burst in the time in which it grows back`() {
        #expect(RatePolicy(.requests, perPeriod: 100, periodSeconds: 1, burst: 100).header == #""requests";q=100;w=1"#)
        #expect(RatePolicy(.requests, perPeriod: 100, periodSeconds: 1, burst: 250).header == #""requests";q=250;w=3"#)
        #expect(RatePolicy(.runs, perPeriod: 60, periodSeconds: 60, burst: 60).header == #""runs";q=60;w=60"#)
    }

    @Test func `a day is UTC's, and ends where the next begins`() throws {
        let late = try #require(Timestamp(rfc3339: "2026-12-31T23:59:59.999Z"))
        let day = UsageDay(of: late)
        #expect(day.description == "2026-12-31")
        #expect(day.end.description == "2027-01-01T00:00:00.000Z")
        #expect(UsageDay(of: day.end) == UsageDay("2027-01-01"))
        #expect(UsageDay("2026-12-31") == day)
        #expect(day.previous < day)
        #expect(UsageDay(of: Timestamp(millisecondsSinceUnixEpoch: -1)).description == "1969-12-31")
        for text in ["2026-13-01", "2026-1-1", "today", "2026-01-01T", ""] { #expect(UsageDay(text) == nil, "\(text)") }
    }
}
