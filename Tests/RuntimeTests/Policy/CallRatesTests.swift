import Domain
import Logging
import NIOPosix
import Redis
import Storage
import TestSupport
import Testing

@testable import Runtime

/// What bounds by the minute do without Redis.
struct CallRatesTests {
    private let rule = CountedRule(rule: "r", perRun: nil, perMinute: 3)

    @Test func `without Redis a process holds the same bound for itself`() async throws {
        let metrics = MetricsRegistry()
        // Nobody connects it, as while Redis is away.
        let redis = RedisClient(
            try RedisConfiguration(url: "redis://127.0.0.1:1"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "test"))
        let rates = CallRates(redis: redis, metrics: metrics, logger: Logger(label: "test"))
        let (tenant, other) = (TenantID.generate(), TenantID.generate())
        for _ in 0..<3 { #expect(await rates.count(.generate(), tenant, [rule]) == nil) }
        #expect(await rates.count(.generate(), tenant, [rule])?.rule == rule)
        #expect(await rates.count(.generate(), other, [rule]) == nil)
        #expect(await rates.count(.generate(), tenant, [CountedRule(rule: "free", perRun: 1, perMinute: nil)]) == nil)
        #expect(metrics.render().contains("hsafa_policy_local_counts_total 5"))
    }

    @Test func `with Redis every replica counts together`() async throws {
        let redis = try await TestEnvironment.start().redis
        let replicas = (0..<2).map { _ in CallRates(redis: redis, metrics: MetricsRegistry(), logger: Logger(label: "test")) }
        let tenant = TenantID.generate()
        for index in 0..<3 { #expect(await replicas[index % 2].count(.generate(), tenant, [rule]) == nil) }
        for replica in replicas { #expect(await replica.count(.generate(), tenant, [rule])?.rule == rule) }
    }
}
