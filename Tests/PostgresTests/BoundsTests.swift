import CLinux
import Foundation
import Logging
import Postgres
import Synchronization
import Testing

/// Keeps what is logged.
final class RecordedLog: Sendable {
    private let lines = Mutex<[(level: Logger.Level, text: String)]>([])
    var logger: Logger {
        var logger = Logger(label: "recorded", factory: { _ in Handler(log: self) })
        logger.logLevel = .trace
        return logger
    }
    func contains(_ level: Logger.Level, _ text: String) -> Bool {
        lines.withLock { $0.contains { $0.level == level && $0.text.contains(text) } }
    }

    private struct Handler: LogHandler {
        let log: RecordedLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            log.lines.withLock { $0.append((event.level, event.message.description)) }
        }
    }
}

extension PostgresTests {
    @Suite struct BoundsTests {
        @Test("a full queue refuses at once")
        func queueFull() async throws {
            try await withClient(configure: {
                $0.sharedConnections = 1
                $0.maxQueuedSegments = 10
            }) { client async throws in
                try await client.withBusySharedLane { release async throws in
                    let tasks = (0..<10).map { number in Task { try await client.value("SELECT \(number)", as: Int.self) } }
                    try await eventually("the queue is full") { client.statistics().queued == 10 }
                    let error = try await failure { try await client.query("SELECT 1") }
                    #expect(error.code == .queueFull && !error.mayHaveRun)
                    release()
                    for (number, task) in tasks.enumerated() { #expect(try await task.value == number) }
                }
                #expect(try await client.value("SELECT 1::int8", as: Int.self) == 1)
            }
        }

        @Test("parameters over the limit are refused before sending")
        func parameters() async throws {
            try await withClient(configure: { $0.maxParameterBytes = 1000 }) { client async throws in
                let error = try await failure { try await client.query("SELECT \(String(repeating: "x", count: 1001))") }
                #expect(error.code == .tooLarge && !error.mayHaveRun)
                #expect(try await client.value("SELECT length(\(String(repeating: "x", count: 1000)))", as: Int.self) == 1000)
                #expect(client.statistics().segments == 1)
                let many = SQL(unsafeSQL: "SELECT 1", parameters: Array(repeating: PostgresValue(Int16(1)), count: 65_536))
                #expect(try await failure { try await client.query(many) }.code == .tooLarge)
            }
        }

        @Test("parameters of many megabytes pass in both directions")
        func large() async throws {
            try await withClient { client async throws in
                let bytes = PostgresBytea([UInt8](repeating: 7, count: 20 << 20))
                async let neighbour = client.value("SELECT 1::int8", as: Int.self)
                #expect(try await client.value("SELECT \(bytes)", as: PostgresBytea.self) == bytes)
                #expect(try await neighbour == 1)
            }
        }

        @Test("a result over the limit is an error for its caller alone, whether it is a little or vastly over")
        func results() async throws {
            try await withClient(configure: {
                $0.sharedConnections = 1
                $0.maxResultBytes = 1 << 20
            }) { client async throws in
                for megabytes in [2, 400] {
                    for lane: PostgresLane in [.shared, .slow] {
                        async let neighbour = client.value("SELECT 1::int8", as: Int.self)
                        let error = try await failure {
                            try await client.query(
                                "SELECT repeat('x', 1024) FROM generate_series(1, \(megabytes * 1024))", lane: lane)
                        }
                        #expect(error.code == .tooLarge)
                        #expect(try await neighbour == 1)
                    }
                }
                #expect(client.statistics().reconnects == 0)
            }
        }

        @Test("memory stays flat over very many statements")
        func leaks() async throws {
            // Fewer for a quick look: LEAK_STATEMENTS=100000.
            let count = ProcessInfo.processInfo.environment["LEAK_STATEMENTS"].flatMap { Int($0) } ?? 1_000_000
            try await withClient { client async throws in
                @Sendable func load(_ statements: Int) async throws {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for caller in 0..<128 {
                            group.addTask {
                                for number in 0..<statements / 128 {
                                    // Errors, reruns and evictions leak as little as rows do.
                                    if number % 512 == 511, caller == 0 { _ = try? await client.query("SELECT 1 / \(0)") }
                                    if number % 64 == 63, caller == 1 { _ = try await client.query(SQL(unsafeSQL: "SELECT \(number)")) }
                                    let rows = try await client.query("SELECT \(number), \("some text")")
                                    guard try rows[0].decode(0, as: Int.self) == number else { throw NotInTime(description: "wrong row") }
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                try await load(20_000)
                let before = clinux_resident_kib()
                try await load(count)
                let growth = clinux_resident_kib() - before
                print("the resident set grew by \(growth) KiB over \(count) statements")
                #expect(growth < 20 << 10, "resident set grew by \(growth) KiB over \(count) statements")
            }
        }

        @Test("notices reach the log: NOTICE as debug, WARNING as warning")
        func notices() async throws {
            let log = RecordedLog()
            try await withClient(logger: log.logger) { client async throws in
                _ = try await client.query("DO $$ BEGIN RAISE NOTICE 'said softly'; RAISE WARNING 'said loudly'; END $$")
                #expect(log.contains(.debug, "said softly"))
                #expect(log.contains(.warning, "said loudly"))
            }
        }

        @Test("an error's description shows no data; its debug description has the server's detail")
        func errorText() async throws {
            try await withClient { client async throws in
                let error = try await failure {
                    try await client.query(
                        "DO $$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'secret row', ERRCODE = '23505', CONSTRAINT = 'the_key'; END $$")
                }
                #expect(error.sqlState == "23505" && error.constraint == "the_key")
                #expect(!error.description.contains("secret") && String(reflecting: error).contains("secret row"))
            }
        }
    }
}
