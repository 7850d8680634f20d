import Domain
import FoundationEssentials
import JSON
import Postgres
import Storage
import Synchronization
import TestSupport
import Testing

/// Appends of many runs travel in one statement; none of them may notice.
struct AppendQueueTests {
    private func deltas(_ count: Int, _ text: String = "word") -> [NewRunEvent] {
        (0..<count).map { RunEventData.delta(.assistantDelta, text: "\(text) \($0)", stampNanoseconds: nil) }
    }

    private static let broken = NewRunEvent(.assistantDelta, RawJSON(trusted: Array("{".utf8)))

    private struct Append: Sendable {
        let run: RunID
        let events: [NewRunEvent]
        var after: Int64 = 0
    }

    private final class Count: Sendable {
        let count = Atomic(0)
    }

    /// All at once; the answers in order.
    private func append(
        _ appends: [Append], _ tenant: TenantDatabase, begun: @escaping @Sendable () -> Void = {}
    ) async -> [Result<Int64?, any Error>] {
        await withTaskGroup(of: (Int, Result<Int64?, any Error>).self) { group in
            for (index, append) in appends.enumerated() {
                group.addTask {
                    begun()
                    do {
                        return (
                            index,
                            .success(try await tenant.append(append.events, to: append.run, after: append.after, claim: 1, at: .now()))
                        )
                    } catch { return (index, .failure(error)) }
                }
            }
            var answers: [Int: Result<Int64?, any Error>] = [:]
            for await (index, answer) in group { answers[index] = answer }
            return appends.indices.compactMap { answers[$0] }
        }
    }

    @Test func `appends of many runs that come together share a few statements, and all of their events are stored`() async throws {
        try await StorageDatabase.with { db in
            let tenant = try await StorageRun.start(db).tenant
            let appends = (0..<200).map { Append(run: .generate(), events: deltas(1 + $0 % 3, "run \($0)")) }
            let before = db.app.statistics().segments
            let begun = Count()
            let writing = try await db.owner.withTransaction { transaction in
                // Nothing can be written while this stands, so all of them come while the first is under way.
                _ = try await transaction.query("LOCK TABLE hsafa.run_events IN ACCESS EXCLUSIVE MODE")
                let writing = Task { await append(appends, tenant) { begun.count.add(1, ordering: .relaxed) } }
                #expect(await eventually { begun.count.load(ordering: .relaxed) == 200 })
                return writing
            }
            let answers = await writing.value
            // The first alone, those that came then in a statement or two; a task may have begun and been overtaken by the lock's end.
            #expect(db.app.statistics().segments - before < 40)
            for (append, answer) in zip(appends, answers) {
                #expect(try answer.get() == Int64(append.events.count))
                let stored = try await tenant.events(of: append.run, after: 0, limit: 10)
                #expect(stored.map(\.seq) == Array(1...Int64(append.events.count)))
                #expect(stored.map(\.data.string) == append.events.map(\.data.string))
            }
        }
    }

    @Test func `those among many that come too late get nothing in, and the others lose nothing`() async throws {
        try await StorageDatabase.with { db in
            let tenant = try await StorageRun.start(db).tenant
            let runs = (0..<90).map { _ in RunID.generate() }
            for run in runs.prefix(30) { _ = try await tenant.append(deltas(1, "first"), to: run, after: 0, claim: 9, at: .now()) }
            let answers = await append(runs.map { Append(run: $0, events: deltas(3, "second")) }, tenant)
            for (index, run) in runs.enumerated() {
                #expect(try answers[index].get() == (index < 30 ? nil : 3))
                let claims = try await tenant.events(of: run, after: 0, limit: 10).map(\.claimNumber)
                #expect(claims == (index < 30 ? [9] : [1, 1, 1]))
            }
        }
    }

    @Test func `an append that Postgres refuses harms only its own writer`() async throws {
        try await StorageDatabase.with { db in
            let tenant = try await StorageRun.start(db).tenant
            let appends = (0..<60).map { Append(run: .generate(), events: $0 % 20 == 7 ? deltas(1) + [Self.broken] : deltas(2)) }
            let answers = await append(appends, tenant)
            for (index, append) in appends.enumerated() {
                let stored = try await tenant.events(of: append.run, after: 0, limit: 10).count
                if index % 20 == 7 {
                    guard case .failure(let error as PostgresError) = answers[index] else {
                        Issue.record("append \(index) went in")
                        continue
                    }
                    #expect(error.sqlState == "22P02" && stored == 0)
                } else {
                    #expect(try answers[index].get() == 2 && stored == 2)
                }
            }
        }
    }

    @Test func `a statement is one tenant's, whoever else appends at the same moment`() async throws {
        try await StorageDatabase.with { db in
            let tenants = [try await StorageRun.start(db).tenant, try await StorageRun.start(db).tenant]
            let runs = (0..<40).map { _ in RunID.generate() }
            await withTaskGroup(of: Void.self) { group in
                for (index, run) in runs.enumerated() {
                    group.addTask { _ = await append([Append(run: run, events: deltas(1))], tenants[index % 2]) }
                }
            }
            for (index, run) in runs.enumerated() {
                #expect(try await tenants[index % 2].events(of: run, after: 0, limit: 10).count == 1)
                #expect(try await tenants[1 - index % 2].events(of: run, after: 0, limit: 10).isEmpty)
            }
        }
    }

    @Test func `when connections are cut under many appends each writer hears of it, and the queue goes on`() async throws {
        try await StorageDatabase.with { db in
            let tenant = try await StorageRun.start(db).tenant
            let runs = (0..<80).map { _ in RunID.generate() }
            let name = try await db.app.query("SELECT current_database()::text")[0].decode(0, as: String.self)
            let writing = try await db.owner.withTransaction { transaction in
                // Nothing can be written while this stands, so the appends are under way when their connections go.
                _ = try await transaction.query("LOCK TABLE hsafa.run_events IN ACCESS EXCLUSIVE MODE")
                let writing = Task { await append(runs.map { Append(run: $0, events: deltas(2)) }, tenant) }
                let superuser = try await StorageDatabase.superuser.value
                let wasCut = try await eventually {
                    try await superuser.query(
                        """
                        SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE datname = \(name) AND wait_event_type = 'Lock'
                        """, lane: .slow)[0].decode(0, as: Int.self) > 0
                }
                #expect(wasCut)
                return writing
            }
            let answers = await writing.value
            #expect(answers.contains { if case .failure = $0 { true } else { false } })
            #expect(answers.count == 80)
            for (run, answer) in zip(runs, answers) {
                let stored = try await tenant.events(of: run, after: 0, limit: 10).count
                switch answer {
                case .success(let last): #expect(last == 2 && stored == 2)
                case .failure(let error): #expect((error as? PostgresError)?.mayHaveRun == true && stored == 0)
                }
            }
            let again = await append(runs.map { Append(run: $0, events: deltas(1), after: 2) }, tenant)
            #expect(again.allSatisfy { (try? $0.get()) != nil })
        }
    }
}
