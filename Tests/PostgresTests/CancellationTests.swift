import Postgres
import Testing

extension PostgresTests {
    @Suite struct CancellationTests {
        @Test("a queued statement that is cancelled is removed and never runs")
        func queued() async throws {
            let sequence = TestDatabase.uniqueName("seq")
            try await withClient(configure: { $0.sharedConnections = 1 }) { client async throws in
                _ = try await client.query("CREATE SEQUENCE \(unsafeSQL: sequence)")
                try await client.withBusySharedLane { release async throws in
                    let tasks = (0..<5).map { _ in Task { try await client.query("SELECT nextval(\(sequence)::regclass)") } }
                    try await eventually("they are queued") { client.statistics().queued == 5 }
                    for task in tasks[1...] { task.cancel() }
                    for task in tasks[1...] {
                        let error = try await failure { try await task.value }
                        #expect(error.code == .canceled && !error.mayHaveRun)
                    }
                    #expect(client.statistics().queued == 1)
                    release()
                    #expect(try await tasks[0].value[0].decode(0, as: Int.self) == 1)
                }
                #expect(try await client.value("SELECT nextval(\(sequence)::regclass)", as: Int.self) == 2)
                _ = try await client.query("DROP SEQUENCE \(unsafeSQL: sequence)")
            }
        }

        @Test("a statement that runs in a group when its caller is cancelled goes on; its caller returns at once")
        func running() async throws {
            let sequence = TestDatabase.uniqueName("seq")
            try await withClient(configure: { $0.sharedConnections = 1 }) { client async throws in
                _ = try await client.query("CREATE SEQUENCE \(unsafeSQL: sequence)")
                try await client.withLock { key, release async throws in
                    let sent = client.statistics().segments
                    let task = Task {
                        try await client.query("SELECT nextval(\(sequence)::regclass) FROM pg_advisory_xact_lock_shared(\(key))")
                    }
                    try await eventually("it is sent") { client.statistics().segments == sent + 1 }
                    task.cancel()
                    let error = try await failure { try await task.value }
                    #expect(error.code == .canceled && error.mayHaveRun)
                    release()
                }
                #expect(try await client.value("SELECT nextval(\(sequence)::regclass)", as: Int.self) == 2)
                _ = try await client.query("DROP SEQUENCE \(unsafeSQL: sequence)")
            }
        }

        @Test("a slow statement that is cancelled is stopped on the server, and the next on its connection is not")
        func slow() async throws {
            try await withClient(configure: { $0.transactionConnections = 1 }) { client async throws in
                for _ in 0..<20 {
                    let sent = client.statistics().segments
                    let task = Task { try await client.query("SELECT pg_sleep(20)", lane: .slow) }
                    try await eventually("it is sent") { client.statistics().segments == sent + 1 }
                    task.cancel()
                    #expect(try await failure { try await task.value }.code == .canceled)
                    #expect(try await client.value("SELECT 5::int8 FROM pg_sleep(0.005)", as: Int.self, lane: .slow) == 5)
                }
            }
        }

        @Test("a task cancelled before it asks gets its answer without a statement")
        func before() async throws {
            try await withClient { client async throws in
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return try await client.query("SELECT 1")
                }
                let error = try await failure { try await task.value }
                #expect(error.code == .canceled && !error.mayHaveRun)
                #expect(client.statistics().segments == 0)
            }
        }

        @Test("callers cancelled at any moment under load all get an answer, and the others are right")
        func storm() async throws {
            try await withClient { client async throws in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<2_000 {
                        group.addTask {
                            let task = Task { try await client.value("SELECT \(number)", as: Int.self) }
                            if number % 3 == 0 {
                                for _ in 0..<(number % 7) { await Task.yield() }
                                task.cancel()
                            }
                            switch await task.result {
                            case .success(let value): #expect(value == number)
                            case .failure(let error): #expect((error as? PostgresError)?.code == .canceled)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(client.statistics().queued == 0)
            }
        }

        @Test("the server's statement timeout is .timeout, and the others of the group have their answers")
        func timeout() async throws {
            try await withClient(configure: {
                $0.statementTimeoutMilliseconds = 150
                $0.sharedConnections = 1
            }) { client async throws in
                async let neighbour = client.value("SELECT 1::int8", as: Int.self)
                for lane: PostgresLane in [.shared, .alone, .slow] {
                    let error = try await failure { try await client.query("SELECT pg_sleep(10)", lane: lane) }
                    #expect(error.code == .timeout && error.sqlState == "57014" && !error.mayHaveRun)
                }
                #expect(try await neighbour == 1)
            }
        }

        @Test("a statement that waits on the slow lane delays nobody on the shared one")
        func lanes() async throws {
            try await withClient { client async throws in
                try await client.withLock { key, release async throws in
                    let sent = client.statistics().segments
                    async let slow = client.value("SELECT 7::int8 FROM pg_advisory_xact_lock_shared(\(key))", as: Int.self, lane: .slow)
                    try await eventually("it is sent") { client.statistics().segments == sent + 1 }
                    // While it stands still.
                    for number in 0..<50 { #expect(try await client.value("SELECT \(number)", as: Int.self) == number) }
                    release()
                    #expect(try await slow == 7)
                }
            }
        }
    }
}
