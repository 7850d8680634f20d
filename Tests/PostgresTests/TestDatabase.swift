import Foundation
import Logging
import Postgres
import Synchronization
import TestServers
import Testing

/// All suites hang below this one, one test after the other: they count connections, statements and memory.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PostgresTests {}

enum TestDatabase {
    private static let cluster = Mutex<ThrowawayCluster?>(nil)

    /// TEST_DATABASE_URL, or else a server that is started once.
    static func url() throws -> String {
        if let url = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"] { return url }
        return try cluster.withLock { cluster in
            if cluster == nil { cluster = try ThrowawayCluster() }
            return try #require(cluster).url
        }
    }

    /// Names of tables and locks that no other test has.
    static func uniqueName(_ prefix: String) -> String {
        "\(prefix)_\(UUID().uuidString.prefix(8).lowercased())"
    }
}

/// Runs a client around `body`.
func withClient<R: Sendable>(
    _ url: String? = nil, logger: Logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }),
    configure: (inout PostgresConfiguration) -> Void = { _ in }, _ body: (PostgresClient) async throws -> R
) async throws -> R {
    var configuration = try PostgresConfiguration(url: url ?? TestDatabase.url())
    configuration.transactionConnections = 2
    configuration.connectTimeoutSeconds = 60
    configure(&configuration)
    let client = PostgresClient(configuration, logger: logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await client.run() }
        defer { client.shutDown() }
        return try await body(client)
    }
}

struct NotInTime: Error, CustomStringConvertible {
    let description: String
}

/// Polls for what the server or another task does; bounded.
func eventually(_ what: String, seconds: Double = 120, _ condition: () async throws -> Bool) async throws {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    while try await !condition() {
        guard clock.now < end else { throw NotInTime(description: "not in time: \(what)") }
        try await Task.sleep(for: .milliseconds(2))
    }
}

extension PostgresClient {
    /// Keeps a lock while `body` runs, or until it calls what it gets; statements that ask for the same lock wait so long.
    func withLock<R: Sendable>(_ body: @Sendable (_ key: Int, _ release: @escaping @Sendable () -> Void) async throws -> R) async throws
        -> R
    {
        let key = Int.random(in: 1...Int.max)
        let (released, release) = AsyncStream<Void>.makeStream()
        let (held, isHeld) = AsyncStream<Void>.makeStream()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.withTransaction { transaction in
                    _ = try await transaction.query("SELECT pg_advisory_xact_lock(\(key))")
                    isHeld.finish()
                    for await _ in released {}
                }
            }
            for await _ in held {}
            defer { release.finish() }
            return try await body(key) { release.finish() }
        }
    }
}

/// The error of an operation that must fail.
func failure<R>(of operation: () async throws -> R) async throws -> PostgresError {
    do {
        _ = try await operation()
    } catch let error as PostgresError {
        return error
    }
    throw NotInTime(description: "expected a PostgresError, got a value")
}

extension PostgresClient {
    func value<T: PostgresDecodable>(
        _ sql: SQL, as type: T.Type = T.self, scope: String? = nil, lane: PostgresLane = .shared
    ) async throws -> T {
        try #require(try await query(sql, scope: scope, lane: lane).first).decode(0, as: T.self)
    }

    /// Keeps both places of a single shared connection busy while `body` runs, so that what it sends gathers.
    /// `body` gets a closure that lets the lane go on.
    func withBusySharedLane<R: Sendable>(_ body: @Sendable (@escaping @Sendable () -> Void) async throws -> R) async throws -> R {
        let key = Int.random(in: 1...Int.max)
        let (release, continuation) = AsyncStream<Void>.makeStream()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            let (held, isHeld) = AsyncStream<Void>.makeStream()
            group.addTask {
                try await self.withTransaction { transaction in
                    _ = try await transaction.query("SELECT pg_advisory_xact_lock(\(key))")
                    isHeld.yield()
                    for await _ in release { break }
                }
            }
            for await _ in held { break }
            let before = statistics().groups
            for _ in 0..<2 {
                group.addTask { _ = try await self.query("SELECT pg_advisory_xact_lock_shared(\(key))", lane: .alone) }
            }
            try await eventually("both places are taken") { statistics().groups == before + 2 }
            let value: R
            do {
                value = try await body { continuation.yield() }
                continuation.yield()
            } catch {
                continuation.yield()
                throw error
            }
            try await group.waitForAll()
            return value
        }
    }
}
