import Postgres
import Testing

extension PostgresTests {
    /// What one scope may hold of the connections that a statement or a transaction has to itself.
    struct ShareTests {
        /// Statements that wait for this advisory lock on the server.
        private func waiting(_ client: PostgresClient, _ key: Int) async throws -> Int {
            try await client.value(
                """
                SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                    AND ((classid::bigint << 32) | objid::bigint) = \(key)
                """)
        }

        private func lock(_ key: Int) -> SQL { "SELECT pg_advisory_xact_lock_shared(\(key))" }

        @Test("a scope whose lists are slow holds its share of them, and the lists and reads of others go on")
        func lists() async throws {
            // One client holds the lock, another is under test.
            try await withClient { holder async throws in
                try await withClient { client async throws in
                    try await holder.withLock { key, release in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            for _ in 0..<5 {
                                group.addTask { _ = try await client.query(lock(key), scope: "slow", lane: .list) }
                            }
                            try await eventually("one list of the scope is under way") { try await waiting(holder, key) == 1 }
                            for scope in ["other", "third", nil] {
                                #expect(try await client.value("SELECT 1", as: Int32.self, scope: scope, lane: .list) == 1)
                            }
                            #expect(try await client.value("SELECT 2", as: Int32.self, scope: "slow") == 2)
                            #expect(try await client.value("SELECT 3", as: Int32.self, scope: "slow", lane: .slow) == 3)
                            #expect(try await waiting(holder, key) == 1)
                            release()
                            try await group.waitForAll()
                        }
                    }
                }
            }
        }

        @Test("of four connections for transactions a scope holds two, and gives them back however its transactions end")
        func transactions() async throws {
            try await withClient { holder async throws in
                try await withClient(configure: { $0.transactionConnections = 4 }) { client async throws in
                    try await holder.withLock { key, release in
                        let held = (0..<6).map { _ in
                            Task { try await client.withTransaction(scope: "slow") { _ = try await $0.query(lock(key)) } }
                        }
                        try await eventually("two transactions of the scope are under way") { try await waiting(holder, key) == 2 }
                        for scope in ["other", "third", "other"] {
                            let value = try await client.withTransaction(scope: scope) { transaction in
                                try await transaction.query("SELECT 1").first?.decode(0, as: Int32.self)
                            }
                            #expect(value == 1)
                        }
                        #expect(try await waiting(holder, key) == 2)
                        // Those under way end, and those behind them take their places; the last two end well.
                        for task in held.prefix(4) { task.cancel() }
                        for task in held.prefix(4) { _ = await task.result }
                        try await eventually("the last two are under way") { try await waiting(holder, key) == 2 }
                        release()
                        for task in held.suffix(2) { try await task.value }
                    }
                    #expect(client.statistics().queued == 0)
                }
            }
        }

        @Test("those that wait go in turns: a scope that asks once does not wait for a scope that asks a hundred times")
        func turns() async throws {
            try await withClient { holder async throws in
                try await withClient(configure: { $0.listConnections = 1 }) { client async throws in
                    let sequence = TestDatabase.uniqueName("turns")
                    _ = try await holder.query("CREATE SEQUENCE \(unsafeSQL: sequence)")
                    let position = try await holder.withLock { key, release in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { _ = try await client.query(lock(key), scope: "many", lane: .list) }
                            try await eventually("it holds the connection") { try await waiting(holder, key) == 1 }
                            let before = client.statistics().queued
                            for _ in 0..<100 {
                                group.addTask {
                                    _ = try await client.query("SELECT nextval('\(unsafeSQL: sequence)')", scope: "many", lane: .list)
                                }
                            }
                            try await eventually("they wait") { client.statistics().queued == before + 100 }
                            let one = Task {
                                try await client.value(
                                    "SELECT nextval('\(unsafeSQL: sequence)')", as: Int.self, scope: "one", lane: .list)
                            }
                            try await eventually("it waits behind them") { client.statistics().queued == before + 101 }
                            release()
                            let position = try await one.value
                            try await group.waitForAll()
                            return position
                        }
                    }
                    #expect(position <= 2)
                    _ = try await holder.query("DROP SEQUENCE \(unsafeSQL: sequence)")
                }
            }
        }

        @Test("too many callers of one scope are refused, and those of others are not")
        func bound() async throws {
            try await withClient { holder async throws in
                try await withClient(configure: { $0.maxQueuedPerScope = 2 }) { client async throws in
                    try await holder.withLock { key, release in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { _ = try await client.query(lock(key), scope: "many", lane: .list) }
                            try await eventually("it holds its share") { try await waiting(holder, key) == 1 }
                            for number in 1...2 {
                                group.addTask { _ = try await client.query("SELECT 1", scope: "many", lane: .list) }
                                try await eventually("it waits") { client.statistics().queued == number }
                            }
                            let error = try await failure { try await client.query("SELECT 1", scope: "many", lane: .list) }
                            #expect(error.code == .scopeQueueFull)
                            #expect(!error.mayHaveRun)
                            _ = try await client.query("SELECT 1", scope: "other", lane: .list)
                            // Whoever is cancelled gives its place back.
                            let canceled = Task { try await client.query("SELECT 1", scope: "third", lane: .list) }
                            canceled.cancel()
                            _ = await canceled.result
                            release()
                            try await group.waitForAll()
                        }
                    }
                }
            }
        }

        @Test("scopes that fill the queue do not keep out one with nothing in it")
        func fullQueue() async throws {
            try await withClient { holder async throws in
                try await withClient(configure: { $0.maxQueuedLists = 3 }) { client async throws in
                    try await holder.withLock { key, release in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            group.addTask { _ = try await client.query(lock(key), scope: "many", lane: .list) }
                            try await eventually("it holds its share") { try await waiting(holder, key) == 1 }
                            for number in 1...3 {
                                group.addTask { _ = try await client.query("SELECT 1", scope: "many", lane: .list) }
                                try await eventually("it waits") { client.statistics().queued == number }
                            }
                            let error = try await failure { try await client.query("SELECT 1", scope: "many", lane: .list) }
                            #expect(error.code == .queueFull && !error.mayHaveRun)
                            _ = try await client.query("SELECT 1", scope: "other", lane: .list)
                            release()
                            try await group.waitForAll()
                        }
                    }
                }
            }
        }

        @Test("a list has a time limit of its own, and is planned for its parameters")
        func listSettings() async throws {
            try await withClient(configure: {
                $0.usesGenericPlans = true
                $0.listTimeoutMilliseconds = 150
            }) { client async throws in
                #expect(try await client.value("SHOW plan_cache_mode", as: String.self, lane: .list) == "force_custom_plan")
                #expect(try await client.value("SHOW plan_cache_mode", as: String.self) == "force_generic_plan")
                let error = try await failure { try await client.query("SELECT pg_sleep(60)", lane: .list) }
                #expect(error.sqlState == "57014")
                _ = try await client.query("SELECT pg_sleep(0.3)", lane: .slow)
            }
        }

        @Test("a list that waits for a connection in vain is told so, and one whose connection is lost gives its share back")
        func vain() async throws {
            try await withClient { holder async throws in
                try await withClient(configure: { $0.listWaitMilliseconds = 100 }) { client async throws in
                    try await holder.withLock { key, release in
                        let lost = Task { try await client.query(lock(key), scope: "slow", lane: .list) }
                        try await eventually("it holds its share") { try await waiting(holder, key) == 1 }
                        let error = try await failure { try await client.query("SELECT 1", scope: "slow", lane: .list) }
                        // Not Postgres' time, and not a word of one: the scope's own list holds its share.
                        #expect(error.code == .turn && error.sqlState == nil && !error.mayHaveRun)
                        _ = try await holder.query(
                            """
                            SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                                AND ((classid::bigint << 32) | objid::bigint) = \(key)
                            """)
                        #expect(try await failure { try await lost.value }.code == .connection)
                        try await eventually("the scope has its share again") {
                            (try? await client.query("SELECT 1", scope: "slow", lane: .list)) != nil
                        }
                        release()
                    }
                }
            }
        }
    }
}
