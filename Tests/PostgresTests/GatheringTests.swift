import Logging
import Postgres
import Synchronization
import Testing

extension PostgresTests {
    /// What comes while a group is under way waits a moment for company, and never long.
    @Suite struct GatheringTests {
        @Test("statements that come while a group is under way share the next ones")
        func gathers() async throws {
            try await withClient { client async throws in
                _ = try await client.value("SELECT 1::int8", as: Int.self)
                let before = client.statistics()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<64 {
                        group.addTask {
                            for number in 0..<20 { _ = try await client.value("SELECT \(number)::int8", as: Int.self) }
                        }
                    }
                    try await group.waitForAll()
                }
                let after = client.statistics()
                #expect(after.segments - before.segments == 64 * 20)
                #expect(after.groups - before.groups <= 64 * 20 / 4, "\(after.groups - before.groups) groups")
            }
        }

        @Test("a lone statement does not wait for a long one on another connection")
        func doesNotWait() async throws {
            try await withClient { client async throws in
                let key = Int.random(in: 1...Int.max)
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("SELECT pg_advisory_xact_lock(\(key))")
                    let before = client.statistics().groups
                    let held = Task { try await client.query("SELECT pg_advisory_xact_lock_shared(\(key))", lane: .alone) }
                    try await eventually("one connection is busy") { client.statistics().groups > before }
                    // It would not come back at all before the lock is given up.
                    for number in 0..<20 { #expect(try await client.value("SELECT \(number)::int8", as: Int.self) == number) }
                    held.cancel()
                }
            }
        }

        @Test("an answer by callback comes once, and a refusal before the call returns")
        func callbacks() async throws {
            let client = try await withClient { client async throws in
                let answers: [Int] = try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<50 {
                        group.addTask {
                            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int, any Error>) in
                                client.send("SELECT \(number)::int8") { answer in
                                    continuation.resume(with: Result { try answer.get()[0].decode(0, as: Int.self) })
                                }
                            }
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.sorted() == Array(0..<50))
                let refusals = Mutex<[PostgresError.Code]>([])
                client.send("COMMIT") { answer in
                    if case .failure(let error) = answer { refusals.withLock { $0.append(error.code) } }
                }
                #expect(refusals.withLock { $0 } == [.configuration])
                return client
            }
            let last = Mutex<[PostgresError.Code]>([])
            client.send("SELECT 1") { answer in
                if case .failure(let error) = answer { last.withLock { $0.append(error.code) } }
            }
            #expect(last.withLock { $0 } == [.shutDown])
        }
    }
}
