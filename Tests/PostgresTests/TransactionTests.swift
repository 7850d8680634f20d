import Postgres
import Testing

extension PostgresTests {
    @Suite struct TransactionTests {
        private struct Refused: Error {}

        private func withTable<R: Sendable>(_ client: PostgresClient, _ body: (String) async throws -> R) async throws -> R {
            let table = TestDatabase.uniqueName("tx")
            _ = try await client.query("CREATE TABLE \(unsafeSQL: table) (id int8 PRIMARY KEY)")
            let value = try await body(table)
            _ = try await client.query("DROP TABLE \(unsafeSQL: table)")
            return value
        }

        private func count(_ client: PostgresClient, _ table: String) async throws -> Int {
            try await client.value("SELECT count(*) FROM \(unsafeSQL: table)")
        }

        @Test("a transaction commits what its body wrote, all at once")
        func commit() async throws {
            try await withClient { client async throws in
                try await withTable(client) { table async throws in
                    let value = try await client.withTransaction { transaction async throws in
                        _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                        #expect(try await count(client, table) == 0)
                        return try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (2), (3)").affected
                    }
                    #expect(value == 2)
                    #expect(try await count(client, table) == 3)
                }
            }
        }

        @Test("a body that throws rolls back, and its error comes through")
        func rollback() async throws {
            try await withClient(configure: { $0.transactionConnections = 1 }) { client async throws in
                try await withTable(client) { table async throws in
                    for _ in 0..<3 {
                        await #expect(throws: Refused.self) {
                            try await client.withTransaction { transaction async throws in
                                _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                                throw Refused()
                            }
                        }
                        #expect(try await count(client, table) == 0)
                    }
                }
            }
        }

        @Test("a body that hides an error does not commit: the caller sees that error")
        func hiddenError() async throws {
            try await withClient(configure: { $0.transactionConnections = 1 }) { client async throws in
                try await withTable(client) { table async throws in
                    let error = try await failure {
                        try await client.withTransaction { transaction async throws in
                            _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                            _ = try? await transaction.query("SELECT 1/0")
                        }
                    }
                    #expect(error.sqlState == "22012")
                    #expect(try await count(client, table) == 0)
                    // A savepoint makes it good again.
                    try await client.withTransaction { transaction async throws in
                        _ = try await transaction.query("SAVEPOINT here")
                        _ = try? await transaction.query("SELECT 1/0")
                        _ = try await transaction.query("ROLLBACK TO here")
                        _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                    }
                    #expect(try await count(client, table) == 1)
                }
            }
        }

        @Test("cancellation while a statement runs stops it on the server and rolls back")
        func cancel() async throws {
            try await withClient(configure: { $0.transactionConnections = 1 }) { client async throws in
                try await withTable(client) { table async throws in
                    let task = Task {
                        try await client.withTransaction { transaction async throws in
                            _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                            _ = try await transaction.query("SELECT pg_sleep(30)")
                        }
                    }
                    let sleeping: SQL = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(30)'"
                    try await eventually("it sleeps") { try await client.value(sleeping, as: Int.self) == 1 }
                    // The statement's own time limit would say so.
                    task.cancel()
                    let error = try await failure { try await task.value }
                    #expect(error.code == .canceled && !error.mayHaveRun)
                    // The one connection of the lane is free and clean.
                    #expect(try await client.withTransaction { try await $0.query("SELECT 1::int8")[0].decode(0, as: Int.self) } == 1)
                    #expect(try await count(client, table) == 0)
                }
            }
        }

        @Test("a body that returns after its task was cancelled does not commit")
        func cancelQuietly() async throws {
            try await withClient { client async throws in
                try await withTable(client) { table async throws in
                    let task = Task {
                        try await client.withTransaction { transaction async throws in
                            _ = try await transaction.query("INSERT INTO \(unsafeSQL: table) VALUES (1)")
                            withUnsafeCurrentTask { $0?.cancel() }
                        }
                    }
                    #expect(try await failure { try await task.value }.code == .canceled)
                    #expect(try await count(client, table) == 0)
                }
            }
        }

        @Test("a serialization failure and a deadlock carry their sqlState")
        func conflicts() async throws {
            try await withClient { client async throws in
                try await withTable(client) { table async throws in
                    _ = try await client.query("INSERT INTO \(unsafeSQL: table) VALUES (1), (2)")
                    let serialization = try await failure {
                        try await client.withTransaction { transaction async throws in
                            _ = try await transaction.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                            _ = try await transaction.query("SELECT * FROM \(unsafeSQL: table)")
                            _ = try await client.query("UPDATE \(unsafeSQL: table) SET id = 3 WHERE id = 1")
                            _ = try await transaction.query("UPDATE \(unsafeSQL: table) SET id = 4 WHERE id = 1")
                        }
                    }
                    #expect(serialization.sqlState == "40001" && serialization.code == .server)
                    let deadlock = try await failure {
                        try await client.withTransaction { first async throws in
                            _ = try await first.query("SELECT * FROM \(unsafeSQL: table) WHERE id = 2 FOR UPDATE")
                            try await client.withTransaction { second async throws in
                                _ = try await second.query("SELECT * FROM \(unsafeSQL: table) WHERE id = 3 FOR UPDATE")
                                async let crossing = first.query("SELECT * FROM \(unsafeSQL: table) WHERE id = 3 FOR UPDATE")
                                _ = try await second.query("SELECT * FROM \(unsafeSQL: table) WHERE id = 2 FOR UPDATE")
                                _ = try await crossing
                            }
                        }
                    }
                    #expect(deadlock.sqlState == "40P01")
                }
            }
        }

        @Test("transaction control and COPY are refused outside their place")
        func control() async throws {
            try await withClient { client async throws in
                for sql: SQL in ["BEGIN", "  commit", "ROLLBACK", "start transaction", "SAVEPOINT a", "END;", "COPY x FROM STDIN", "abort"]
                {
                    #expect(try await failure { try await client.query(sql) }.code == .configuration)
                }
                try await client.withTransaction { transaction async throws in
                    #expect(try await failure { try await transaction.query("COMMIT") }.code == .configuration)
                    _ = try await transaction.query("SELECT 1")
                }
                #expect(try await client.value("SELECT 1::int8 AS begin", as: Int.self) == 1)
            }
        }

        @Test("waiting for a connection is bounded in number and in time")
        func bounds() async throws {
            for (leaseTimeout, isInTime) in [(100, false), (120_000, true)] {
                try await withClient(configure: {
                    $0.transactionConnections = 1
                    $0.maxQueuedTransactions = 1
                    $0.leaseTimeoutMilliseconds = leaseTimeout
                }) { client async throws in
                    let (released, release) = AsyncStream<Void>.makeStream()
                    let (held, isHeld) = AsyncStream<Void>.makeStream()
                    let holder = Task {
                        try await client.withTransaction { _ in
                            isHeld.finish()
                            for await _ in released {}
                        }
                    }
                    for await _ in held {}
                    let waiting = Task { try await client.withTransaction { _ in } }
                    if isInTime {
                        try await eventually("one waits") { client.statistics().queued == 1 }
                        #expect(try await failure { try await client.query("SELECT 1", lane: .slow) }.code == .queueFull)
                        release.finish()
                        try await waiting.value
                    } else {
                        let error = try await failure { try await waiting.value }
                        #expect(error.code == .turn && !error.mayHaveRun)
                        release.finish()
                    }
                    try await holder.value
                }
            }
        }
    }
}
