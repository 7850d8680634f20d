import Logging
import Postgres
import Testing

extension PostgresTests {
    @Suite struct GroupTests {
        private func oneConnection(_ configuration: inout PostgresConfiguration) { configuration.sharedConnections = 1 }

        /// Sends the statements so that they share one group; the answers in order.
        private func grouped(_ client: PostgresClient, _ statements: [(sql: SQL, scope: String?)]) async throws -> [Result<
            Int, PostgresError
        >] {
            try await client.withBusySharedLane { release async throws in
                try await withThrowingTaskGroup(of: (Int, Result<Int, PostgresError>).self) { group in
                    for (index, statement) in statements.enumerated() {
                        let queued = client.statistics().queued
                        group.addTask {
                            do throws(PostgresError) {
                                let rows = try await client.query(statement.sql, scope: statement.scope)
                                return (index, .success(rows.isEmpty ? 0 : try rows[0].decode(0, as: Int.self)))
                            } catch {
                                return (index, .failure(error))
                            }
                        }
                        try await eventually("it is queued") { client.statistics().queued == queued + 1 }
                    }
                    release()
                    var answers: [Int: Result<Int, PostgresError>] = [:]
                    for try await (index, answer) in group { answers[index] = answer }
                    return statements.indices.compactMap { answers[$0] }
                }
            }
        }

        @Test("one failing segment among 64 harms only its caller")
        func oneOf64() async throws {
            try await withClient(configure: oneConnection) { client async throws in
                let reruns = client.statistics().reruns
                let answers = try await grouped(client, (0..<64).map { ("SELECT 640 / \($0 == 17 ? 0 : $0 + 100)", nil) })
                #expect(answers.count == 64)
                for (index, answer) in answers.enumerated() {
                    switch answer {
                    case .success(let value): #expect(value == 640 / (index + 100) && index != 17)
                    case .failure(let error):
                        #expect(index == 17 && error.sqlState == "22012" && error.code == .server && !error.mayHaveRun)
                    }
                }
                #expect(client.statistics().reruns == reruns + 64, "they shared one group")
            }
        }

        @Test("writes of a failed group are made once each, except the guilty one")
        func writesOnce() async throws {
            let table = TestDatabase.uniqueName("once")
            try await withClient(configure: oneConnection) { client async throws in
                _ = try await client.query("CREATE TABLE \(unsafeSQL: table) (id int8 PRIMARY KEY CHECK (id <> 5))")
                let answers = try await grouped(
                    client, (0..<32).map { ("INSERT INTO \(unsafeSQL: table) VALUES (\($0)) RETURNING id", nil) })
                for (index, answer) in answers.enumerated() {
                    if case .failure(let error) = answer {
                        #expect(index == 5 && error.sqlState == "23514" && error.constraint == "\(table)_id_check")
                    } else {
                        #expect(index != 5)
                    }
                }
                #expect(try await client.value("SELECT count(*) FROM \(unsafeSQL: table)", as: Int.self) == 31)
                _ = try await client.query("DROP TABLE \(unsafeSQL: table)")
            }
        }

        @Test("a statement that cannot be parsed, new to the connection and first of its group, harms only its caller")
        func syntaxError() async throws {
            try await withClient(configure: oneConnection) { client async throws in
                var statements: [(SQL, String?)] = [("SELEKT 1", nil)]
                for number in 0..<20 { statements.append((SQL(unsafeSQL: "SELECT \(number)::int8 AS fresh\(number)"), nil)) }
                statements.append(("SELEKT 1", nil))
                for _ in 0..<2 {
                    let answers = try await grouped(client, statements)
                    for (index, answer) in answers.enumerated() {
                        switch answer {
                        case .success(let value): #expect(value == index - 1)
                        case .failure(let error): #expect((index == 0 || index == 21) && error.sqlState == "42601")
                        }
                    }
                }
            }
        }

        @Test("a constraint that fails at the commit of a group harms only its caller")
        func deferredConstraint() async throws {
            let table = TestDatabase.uniqueName("deferred")
            try await withClient(configure: oneConnection) { client async throws in
                _ = try await client.query(
                    "CREATE TABLE \(unsafeSQL: table) (id int8 PRIMARY KEY, parent int8 REFERENCES \(unsafeSQL: table) DEFERRABLE INITIALLY DEFERRED)"
                )
                let answers = try await grouped(
                    client,
                    (1...10).map { ("INSERT INTO \(unsafeSQL: table) VALUES (\($0), \($0 == 4 ? 99 : $0)) RETURNING id", nil) })
                for (index, answer) in answers.enumerated() {
                    switch answer {
                    case .success(let value): #expect(value == index + 1 && value != 4)
                    case .failure(let error): #expect(index == 3 && error.sqlState == "23503")
                    }
                }
                #expect(try await client.value("SELECT count(*) FROM \(unsafeSQL: table)", as: Int.self) == 9)
                _ = try await client.query("DROP TABLE \(unsafeSQL: table)")
            }
        }

        @Test("an unscoped segment right behind a scoped one in the same group sees ''")
        func scopes() async throws {
            try await withClient(configure: {
                $0.sharedConnections = 1
                $0.scopeSetting = "app.tenant_id"
            }) { client async throws in
                let sql: SQL = "SELECT coalesce(nullif(current_setting('app.tenant_id'), '')::int8, -1)"
                let groups = client.statistics().groups
                let answers = try await grouped(client, (0..<64).map { (sql, $0 % 2 == 0 ? "\($0)" : nil) })
                for (index, answer) in answers.enumerated() {
                    #expect(try answer.get() == (index % 2 == 0 ? index : -1))
                }
                #expect(client.statistics().groups == groups + 6, "BEGIN, lock, two waiters, COMMIT, and one group for all")
                for lane: PostgresLane in [.alone, .slow] {
                    #expect(try await client.value("SELECT current_setting('app.tenant_id')", scope: "7", lane: lane) == "7")
                    #expect(try await client.value("SELECT current_setting('app.tenant_id')", lane: lane) == "")
                }
                let inside = try await client.withTransaction(scope: "x") { transaction async throws in
                    try await transaction.query("SELECT current_setting('app.tenant_id')")[0].decode(0, as: String.self)
                }
                #expect(inside == "x")
            }
        }

        @Test("10,000 concurrent callers each get their own answer")
        func manyCallers() async throws {
            try await withClient { client async throws in
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<10_000 {
                        group.addTask { try await client.value("SELECT \(number)", as: Int.self) == number }
                    }
                    for try await isRight in group { #expect(isRight) }
                }
                let statistics = client.statistics()
                #expect(statistics.segments == 10_000 && statistics.queued == 0)
                #expect(statistics.groups < 5_000)
            }
        }

        @Test("statements beyond the bound are deallocated, least recently used first")
        func eviction() async throws {
            try await withClient(configure: {
                $0.sharedConnections = 1
                $0.maxPreparedStatements = 16
            }) { client async throws in
                let hot: SQL = "SELECT count(*) FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared%'"
                for round in 0..<3 {
                    for number in 0..<100 {
                        #expect(try await client.value(SQL(unsafeSQL: "SELECT \(number)::int8"), as: Int.self) == number)
                        if number % 10 == 0, round > 0 { #expect(try await client.value(hot, as: Int.self) <= 16) }
                    }
                }
                // The one in regular use was never evicted.
                let age = try await client.value(
                    "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%NOT LIKE%'", as: Int.self)
                #expect(age >= 1)
            }
        }

        @Test("equal text with other parameter types is another statement")
        func types() async throws {
            try await withClient(configure: oneConnection) { client async throws in
                for _ in 0..<2 {
                    #expect(try await client.value("SELECT pg_typeof(\(1))::text") == "bigint")
                    #expect(try await client.value("SELECT pg_typeof(\("x"))::text") == "text")
                }
            }
        }

        @Test("a cached plan whose result type changed, or a statement lost in the session, is prepared anew unseen")
        func stalePlans() async throws {
            let table = TestDatabase.uniqueName("stale")
            try await withClient(configure: oneConnection) { client async throws in
                _ = try await client.query("CREATE TABLE \(unsafeSQL: table) AS SELECT 1::int8 AS a")
                let all: SQL = "SELECT * FROM \(unsafeSQL: table)"
                #expect(try await client.query(all).columns == ["a"])
                _ = try await client.query("ALTER TABLE \(unsafeSQL: table) ADD COLUMN b text")
                #expect(try await client.query(all).columns == ["a", "b"])
                _ = try await client.query("DEALLOCATE ALL")
                #expect(try await client.query(all).columns == ["a", "b"])
                _ = try await client.query("DROP TABLE \(unsafeSQL: table)")
            }
        }
    }
}
