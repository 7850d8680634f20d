import Foundation
import Postgres
import Synchronization
import TestServers
import Testing

extension PostgresTests {
    @Suite struct FailureTests {
        private final class Load: Sendable {
            let isOver = Mutex(false)
            let outcome = Mutex<(answers: Int, errors: [PostgresError])>((0, []))
            var answers: Int { outcome.withLock { $0.answers } }
        }

        /// 64 callers that ask until `disturb` has returned; every one of their statements must be answered.
        private func underLoad(
            _ client: PostgresClient, disturb: () async throws -> Void
        ) async throws -> (answers: Int, errors: [PostgresError]) {
            let load = Load()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        while !load.isOver.withLock({ $0 }), !Task.isCancelled {
                            do throws(PostgresError) {
                                let rows = try await client.query("SELECT \(caller)", lane: caller % 8 == 0 ? .slow : .shared)
                                let value = try rows[0].decode(0, as: Int.self)
                                #expect(value == caller)
                                load.outcome.withLock { $0.answers += 1 }
                            } catch {
                                load.outcome.withLock { $0.errors.append(error) }
                            }
                        }
                    }
                }
                try await eventually("the load runs") { load.answers > 1000 }
                try await disturb()
                let answers = load.answers
                try await eventually("it runs again") { load.answers > answers + 1000 }
                load.isOver.withLock { $0 = true }
                try await group.waitForAll()
            }
            return load.outcome.withLock { $0 }
        }

        @Test("when the server ends our sessions under load every caller gets an answer, and all goes on")
        func terminate() async throws {
            let name = TestDatabase.uniqueName("app")
            try await withClient(configure: { $0.applicationName = name }) { client async throws in
                try await withClient { killer async throws in
                    let result = try await underLoad(client) {
                        for _ in 0..<5 {
                            // One that is still being opened would not be ended, and nobody would come back for it.
                            try await eventually("all are connected") {
                                let sessions: SQL = "SELECT count(*) FROM pg_stat_activity WHERE application_name = \(name)"
                                return try await killer.value(sessions, as: Int.self) >= 4
                            }
                            let before = client.statistics().reconnects
                            _ = try await killer.query(
                                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = \(name)")
                            try await eventually("all are back") { client.statistics().reconnects >= before + 4 }
                        }
                    }
                    for error in result.errors { #expect(error.code == .connection && error.mayHaveRun) }
                    #expect(client.statistics().reconnects >= 20)
                    #expect(try await client.value("SELECT 1::int8", as: Int.self) == 1)
                }
            }
        }

        @Test("an immediate restart of the server under load answers every caller and is survived")
        func restart() async throws {
            let cluster = try ThrowawayCluster()
            defer { cluster.remove() }
            try await withClient(cluster.url) { client async throws in
                let result = try await underLoad(client) { try cluster.restartImmediately() }
                for error in result.errors { #expect(error.code == .connection) }
                #expect(client.statistics().queued == 0)
                #expect(try await client.withTransaction { try await $0.query("SELECT 2::int8")[0].decode(0, as: Int.self) } == 2)
            }
        }

        /// What callers were told of the rows that they wrote.
        private final class Said: Sendable {
            let next = Atomic<Int>(0)
            let isOver = Mutex(false)
            let rows = Mutex<(done: Set<Int>, undone: Set<Int>, open: Set<Int>)>(([], [], []))
        }

        @Test("what a restart is said to have left undone is not there, and what was answered is")
        func restartKeepsItsWord() async throws {
            let cluster = try ThrowawayCluster()
            defer { cluster.remove() }
            try await withClient(cluster.url, configure: { $0.connectTimeoutSeconds = 1 }) { client async throws in
                _ = try await client.query("CREATE TABLE said (id int8 PRIMARY KEY)")
                let said = Said()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<32 {
                        group.addTask {
                            while !said.isOver.withLock({ $0 }), !Task.isCancelled {
                                let id = said.next.add(1, ordering: .relaxed).newValue
                                do throws(PostgresError) {
                                    _ = try await client.query("INSERT INTO said VALUES (\(id))", lane: caller % 4 == 0 ? .slow : .shared)
                                    said.rows.withLock { _ = $0.done.insert(id) }
                                } catch {
                                    #expect(error.code == .connection)
                                    said.rows.withLock { _ = error.mayHaveRun ? $0.open.insert(id) : $0.undone.insert(id) }
                                }
                            }
                        }
                    }
                    for _ in 0..<2 {
                        let before = said.rows.withLock { $0.done.count }
                        try await eventually("rows are written") { said.rows.withLock { $0.done.count } > before + 500 }
                        try cluster.stop()
                        try await eventually("it is seen that it is away") { said.rows.withLock { !$0.undone.isEmpty } }
                        try cluster.start()
                    }
                    let after = said.rows.withLock { $0.done.count }
                    try await eventually("rows are written again") { said.rows.withLock { $0.done.count } > after + 500 }
                    said.isOver.withLock { $0 = true }
                    try await group.waitForAll()
                }
                let there = Set(try await client.query("SELECT id FROM said").map { try $0.decode(0, as: Int.self) })
                let (done, undone, open) = said.rows.withLock { $0 }
                #expect(done.subtracting(there).isEmpty, "answered, and not there")
                #expect(there.isDisjoint(with: undone), "said not to have run, and there")
                #expect(there.subtracting(done).isSubset(of: open))
                // Both kinds came up, so that both were judged.
                #expect(!undone.isEmpty && !open.isEmpty)
            }
        }

        @Test("while the server is stopped callers are told within the connect timeout that nothing ran")
        func stopped() async throws {
            let cluster = try ThrowawayCluster()
            defer { cluster.remove() }
            try await withClient(cluster.url, configure: { $0.connectTimeoutSeconds = 1 }) { client async throws in
                _ = try await client.query("SELECT 1")
                _ = try await client.query("SELECT 1", lane: .slow)
                try cluster.stop()
                try await eventually("the loss is seen") { client.statistics().connectionsUp == 0 }
                // Nobody waits for the server to come back: it does when all have heard.
                try await withThrowingTaskGroup(of: PostgresError.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            try await failure { try await client.query("SELECT \(number)", lane: number % 2 == 0 ? .shared : .slow) }
                        }
                    }
                    group.addTask { try await failure { try await client.withTransaction { _ in } } }
                    for try await error in group {
                        #expect(error.code == .connection && !error.mayHaveRun)
                        #expect(error.message.hasPrefix("no connection to Postgres: "))
                    }
                }
                try cluster.start()
                try await eventually("it is back") { (try? await client.query("SELECT 1")) != nil }
            }
        }

        @Test("a transaction whose session ends fails without having committed, and its lane goes on")
        func transactionLoss() async throws {
            let table = TestDatabase.uniqueName("lost")
            try await withClient(configure: { $0.transactionConnections = 1 }) { client async throws in
                _ = try await client.query("CREATE TABLE \(unsafeSQL: table) (id int8)")
                let error = try await failure {
                    try await client.withTransaction { transaction async throws in
                        _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                        let pid = try await transaction.query("SELECT pg_backend_pid()")[0].decode(0, as: Int.self)
                        _ = try await client.query("SELECT pg_terminate_backend(\(Int32(pid)))")
                        _ = try await transaction.query("SELECT 1")
                    }
                }
                #expect(error.code == .connection && !error.mayHaveRun)
                try await client.withTransaction { _ = try await $0.query("INSERT INTO \(unsafeSQL: table) VALUES (2)") }
                #expect(try await client.value("SELECT sum(id)::int8 FROM \(unsafeSQL: table)", as: Int.self) == 2)
                _ = try await client.query("DROP TABLE \(unsafeSQL: table)")
            }
        }

        @Test("sslmode=require against a server without TLS says so")
        func tls() async throws {
            // libpq does no TLS on unix sockets, so this server listens on TCP.
            let listener = try PlainServer()
            defer { listener.stop() }
            try await withClient(
                "postgresql://postgres@127.0.0.1:\(listener.port)/postgres?sslmode=require", configure: { $0.connectTimeoutSeconds = 1 }
            ) { client async throws in
                let error = try await failure { try await client.query("SELECT 1") }
                #expect(error.code == .connection && !error.mayHaveRun)
                #expect(error.message.contains("SSL"))
            }
        }

        @Test("a URL that libpq does not understand is a configuration error that does not repeat it")
        func badURL() throws {
            let error = #expect(throws: PostgresError.self) { try PostgresConfiguration(url: "postgresql://u:hunter2@[bad/x") }
            #expect(error?.code == .configuration)
            #expect(error?.description.contains("hunter2") == false)
        }

        @Test("shutdown lets what runs come to its end, tells the queued, and refuses the later")
        func shutDown() async throws {
            try await withClient { other async throws in
                try await other.withLock { key, release async throws in
                    try await withClient(configure: {
                        $0.sharedConnections = 1
                        $0.shutDownGraceMilliseconds = 120_000
                    }) { client async throws in
                        _ = try await client.query("SELECT 1")
                        let waiting: SQL = "SELECT 7::int8 FROM pg_advisory_xact_lock_shared(\(key))"
                        let running = (0..<2).map { _ in Task { try await client.value(waiting, as: Int.self, lane: .alone) } }
                        try await eventually("both are sent") { client.statistics().segments == 3 }
                        let queued = Task { try await client.query("SELECT 1") }
                        try await eventually("one waits") { client.statistics().queued == 1 }
                        client.shutDown()
                        #expect(try await failure { try await queued.value }.code == .shutDown)
                        release()
                        for task in running { #expect(try await task.value == 7) }
                        #expect(try await failure { try await client.query("SELECT 1") }.code == .shutDown)
                        await client.run()
                        #expect(client.statistics().connectionsUp == 0)
                    }
                }
            }
        }

        @Test("run ends when its task is cancelled, and a client that is never run answers in time")
        func lifecycle() async throws {
            var configuration = try PostgresConfiguration(url: TestDatabase.url())
            configuration.connectTimeoutSeconds = 1
            let client = PostgresClient(configuration, logger: RecordedLog().logger)
            #expect(try await failure { try await client.query("SELECT 1") }.code == .connection)
            let run = Task { await client.run() }
            _ = try await client.query("SELECT 1")
            run.cancel()
            await run.value
            #expect(try await failure { try await client.query("SELECT 1") }.code == .shutDown)
        }
    }
}
