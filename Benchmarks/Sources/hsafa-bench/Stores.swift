import Domain
import Foundation
import JSON
import Logging
import NIOPosix
import Postgres
import Redis
import Storage

/// Postgres and Redis as the floors and the storage rows use them.
nonisolated struct Stores: Sendable {
    /// As the gateway connects: behind row-level security, with its scope in front of each segment.
    let app: PostgresClient
    /// Past row-level security, no scope.
    let bare: PostgresClient
    let redis: RedisClient
    let subscriber: RedisSubscriber
    let database: Database
    let tenant: TenantDatabase
    let tenantID: String

    init(_ environment: [String: String]) async throws {
        func value(_ name: String) throws -> String {
            guard let text = environment[name], !text.isEmpty else { throw BenchError("\(name) is not set; start this by `make bench`") }
            return text
        }
        var logger = Logger(label: "bench")
        logger.logLevel = .error
        var configuration = try PostgresConfiguration(url: try value("DATABASE_URL"))
        configuration.scopeSetting = Database.scopeSetting
        app = PostgresClient(configuration, logger: logger)
        bare = PostgresClient(try PostgresConfiguration(url: try value("BENCH_SUPERUSER_URL")), logger: logger)
        let redisConfiguration = try RedisConfiguration(url: try value("REDIS_URL"))
        redis = RedisClient(redisConfiguration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        subscriber = RedisSubscriber(redisConfiguration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        // They live as long as the process.
        let (app, bare, redis, subscriber) = (app, bare, redis, subscriber)
        Task { await app.run() }
        Task { await bare.run() }
        Task { await redis.run() }
        Task { await subscriber.run() }
        database = Database(client: app)
        guard let token = CredentialToken(try value("HSAFA_API_KEY"), kind: .apiKey),
            let record = try await Credentials(database).apiKey(publicID: token.id)
        else { throw BenchError("HSAFA_API_KEY is no key of this database") }
        tenant = database.tenant(record.scope)
        tenantID = record.scope.tenantID.description
    }

    func execute(_ sql: String) async throws { _ = try await bare.query(SQL(unsafeSQL: sql), lane: .slow) }

    func number(_ sql: String) async throws -> Int {
        guard let row = try await bare.query(SQL(unsafeSQL: sql), lane: .slow).first else { throw BenchError("no row: \(sql)") }
        return try row.decode(0)
    }

    /// An event like those of a run: a delta with its stamp.
    static func delta() -> NewRunEvent { RunEventData.delta(.assistantDelta, text: "tok en ", stampNanoseconds: Clock.realtime()) }

    /// Rows of a log, written without the gateway's function.
    func insertBare(_ runs: [RunID], _ seqs: [Int64], _ data: [String]) async throws {
        _ = try await bare.query(
            """
            INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
            SELECT \(unsafeSQL: "'\(tenantID)'::uuid"), e.run_id, e.seq, 'assistant.delta', e.data::json, now(), 1
            FROM unnest(\(runs.map(\.uuid)), \(seqs), \(data)) AS e (run_id, seq, data)
            """, lane: .alone)
    }

    /// One commit, so many times, then a notice that is awaited; alone, one after the other.
    func commitAndPublish(commits: Int, rounds: Int) async throws -> Samples {
        let channel = "bench:\(RunID.generate())"
        let (pushes, continuation) = AsyncStream.makeStream(of: RedisPush.self, bufferingPolicy: .bufferingNewest(16))
        let subscription = subscriber.subscribe(channel) { continuation.yield($0) }
        defer { subscription.cancel() }
        var iterator = pushes.makeAsyncIterator()
        _ = await iterator.next()
        let run = RunID.generate()
        var samples = Samples()
        for round in 0..<rounds {
            let start = Clock.monotonic()
            for commit in 0..<commits {
                try await insertBare([run], [Int64(round * commits + commit + 1)], [Self.delta().data.string])
            }
            _ = try await redis.send(RedisCommand("PUBLISH", channel, "1"))
            _ = await iterator.next()
            samples.add(Clock.monotonic() - start)
        }
        return samples
    }
}
