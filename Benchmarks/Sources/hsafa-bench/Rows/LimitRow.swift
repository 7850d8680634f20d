import Domain
import Foundation
import Redis
import Storage

/// Rate-limit decisions of a request, 32 at once; floor: the same script by redis-benchmark.
enum LimitRow {
    nonisolated static let askers = 32
    nonisolated static let seconds = 3.0
    nonisolated static let policy = RatePolicy(.requests, perPeriod: 100_000, periodSeconds: 1, burst: 1_000_000)

    static func measure(_ bench: Bench) async throws {
        let tenant = TenantID.generate()
        // Teaches the server the script.
        _ = try await RateLimits(bench.stores.redis).ask(RateQuestion(tenant, [policy]))
        let floor = try bare(tenant)
        let before = ProcessTable.cpuMicroseconds(bench.redisPID)
        let (decisions, elapsed, samples) = try await decide(bench.stores, RateQuestion(tenant, [policy]))
        let redis = (ProcessTable.cpuMicroseconds(bench.redisPID) - before) / decisions
        let rate = decisions / elapsed
        let ratio = rate / floor
        bench.report.add(
            Row(
                work: "rate-limit decision, \(askers) at once", figure: "\(rate.text(0)) /s", floor: "\(floor.text(0)) /s", ratio: ratio,
                cpu: "Redis \(redis.text(1))", p50: samples.p50, p99: samples.p99, targets: [("ratio ≥ 0.7", ratio >= 0.7)]))
    }

    @concurrent
    private static func decide(_ stores: Stores, _ question: RateQuestion) async throws -> (Double, seconds: Double, Samples) {
        let rates = RateLimits(stores.redis)
        let start = Clock.monotonic()
        let end = start + Int64(seconds * 1e9)
        let samples = try await withThrowingTaskGroup(of: Samples.self) { group in
            for _ in 0..<askers {
                group.addTask {
                    var samples = Samples()
                    var began = Clock.monotonic()
                    while began < end {
                        _ = try await rates.ask(question)
                        let now = Clock.monotonic()
                        samples.add(now - began)
                        began = now
                    }
                    return samples
                }
            }
            return try await group.reduce(into: Samples()) { $0.add($1) }
        }
        return (Double(samples.count), Double(Clock.monotonic() - start) / 1e9, samples)
    }

    /// Scripts a second.
    private static func bare(_ tenant: TenantID) throws -> Double {
        let prefix = "unix://"
        guard let url = ProcessInfo.processInfo.environment["REDIS_URL"], url.hasPrefix(prefix) else {
            throw BenchError("REDIS_URL is no unix:// URL")
        }
        let output = try Tool.output(
            "redis-benchmark",
            [
                "-s", String(url.dropFirst(prefix.count)), "-c", "1", "-P", String(askers), "-n", "200000", "--csv", "EVALSHA",
                RateLimits.scriptSHA1, "1",
                RedisKeys.limit(tenant, .requests), "1", String(policy.intervalMicroseconds), String(policy.burst), "1",
            ])
        // "test","rps",… and then the row.
        guard let row = output.split(separator: "\n").last, let rate = row.split(separator: ",").dropFirst().first,
            let number = Double(rate.filter { $0 != "\"" })
        else { throw BenchError("redis-benchmark said: \(output)") }
        return number
    }
}
