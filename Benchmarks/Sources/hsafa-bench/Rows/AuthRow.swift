import Foundation
import Logging
import NIOPosix
import Postgres
import Redis
import Runtime
import Synchronization

/// A key that the process knows: from the text behind `Bearer ` to its principal. In this process, one after the other.
enum AuthRow {
    nonisolated static let rounds = 200_000

    static func measure(_ bench: Bench) async throws {
        let environment = ProcessInfo.processInfo.environment
        guard let database = environment["DATABASE_URL"], let redis = environment["REDIS_URL"],
            let policies = environment["POLICIES_DIR"]
        else { throw BenchError("start this by `make bench`") }
        let nanoseconds = try await ask(bench.key, database: database, redis: redis, policies: policies)
        bench.report.add(
            Row(
                work: "a known key, from its text to its principal", figure: "\((nanoseconds / 1000).text(2)) µs",
                targets: [("≤ 5 µs", nanoseconds <= 5000)]))
    }

    @concurrent
    private static func ask(_ key: String, database: String, redis: String, policies: String) async throws -> Double {
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        let gateway = try Gateway(
            GatewayConfiguration(policiesDirectory: policies),
            Gateway.Dependencies(
                postgres: try PostgresConfiguration(url: database), redis: try RedisConfiguration(url: redis),
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton),
            logger: logger)
        let took = Mutex(0.0)
        do {
            try await gateway.run {
                // argon2, once.
                _ = try await gateway.authenticator.authenticate(bearer: key)
                let start = Clock.monotonic()
                for _ in 0..<rounds { _ = try await gateway.authenticator.authenticate(bearer: key) }
                took.withLock { $0 = Double(Clock.monotonic() - start) / Double(rounds) }
                throw Measured()
            }
        } catch is Measured {}
        return took.withLock { $0 }
    }

    /// Ends the gateway: it serves until somebody stops it.
    private nonisolated struct Measured: Error {}
}
