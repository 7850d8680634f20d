import Domain
import FoundationEssentials
import JSON
import Postgres
import Storage
import TestSupport
import Testing

/// One tenant's queue against another's run: counted in rounds of claiming, not in time.
@Suite(.serialized)
struct FairnessTests {
    private static let first = TenantID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))

    /// Two tenants, the noisy one with 10,000 queued runs; `isNoisyFirst` says who stands first in a round.
    private func crowd(_ db: StorageDatabase, isNoisyFirst: Bool) async throws -> (noisy: TenantScope, quiet: TenantScope, AgentRecord) {
        let scopes = try await [db.makeTenant(), db.makeTenant()].sorted { $0.tenantID < $1.tenantID }
        let (noisy, quiet) = isNoisyFirst ? (scopes[0], scopes[1]) : (scopes[1], scopes[0])
        try await PlanTests.fill(db, noisy, try await db.makeAgent(noisy), runs: 10_000)
        return (noisy, quiet, try await db.makeAgent(quiet))
    }

    @Test(.timeLimit(.minutes(5)), arguments: [true, false])
    func `a run waits at most one round behind another tenant's ten thousand`(_ isNoisyFirst: Bool) async throws {
        try await StorageDatabase.with { db in
            let (_, quiet, agent) = try await crowd(db, isNoisyFirst: isNoisyFirst)
            var cursor = Self.first
            // Wherever the rotation stands when the run comes.
            for limit in [64, 8, 1, 1, 8, 64] {
                let round = try await db.claims.claim(
                    worker: .generate(), leaseSeconds: 60, limit: limit, after: cursor, defaultConcurrency: 5000)
                cursor = round.cursor
                #expect(!round.runs.isEmpty)
                let run = try await db.makeRun(quiet, agent)
                var rounds = 0
                var isClaimed = false
                while !isClaimed, rounds < 5 {
                    let next = try await db.claims.claim(
                        worker: .generate(), leaseSeconds: 60, limit: limit, after: cursor, defaultConcurrency: 5000)
                    cursor = next.cursor
                    isClaimed = next.runs.contains { $0.runID == run }
                    rounds += 1
                }
                // A round of a single run may just have passed the tenant by; the next begins with it.
                #expect(isClaimed && rounds <= (limit == 1 ? 2 : 1), "\(rounds) rounds of \(limit)")
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `a noisy tenant at its bound costs another nothing`() async throws {
        try await StorageDatabase.with { db in
            let (noisy, quiet, agent) = try await crowd(db, isNoisyFirst: true)
            _ = try await TenantLimitsStore(owner: db.owner).apply(TenantLimitPatch([.concurrentRuns: 4]), to: noisy.tenantID)
            #expect(try await db.claim(limit: 64).count == 4)
            #expect(try await db.claim(limit: 64).isEmpty)
            let run = try await db.makeRun(quiet, agent)
            #expect(try await db.claim(limit: 64).map(\.runID) == [run])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `runs whose worker was lost leave room for a queued one`() async throws {
        try await StorageDatabase.with { db in
            let (noisy, quiet, agent) = try await crowd(db, isNoisyFirst: true)
            for _ in 0..<8 { _ = try await db.claim(limit: 64, concurrency: 10_000) }
            try await db.asOwner(
                noisy,
                """
                UPDATE hsafa.runs SET lease_expires_at = now() - interval '1 s'
                WHERE tenant_id = \(noisy.tenantID) AND status = 'running'
                """)
            let run = try await db.makeRun(quiet, agent)
            let round = try await db.claim(limit: 64)
            #expect(round.count > 48)
            #expect(round.contains { $0.runID == run })
        }
    }

    @Test func `a tenant that is passed over keeps its place in the queue`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let run = try await db.makeRun(scope, try await db.makeAgent(scope))
            let passed = try await db.claims.claim(
                worker: .generate(), leaseSeconds: 60, limit: 64, after: Self.first, defaultConcurrency: 10, passedOver: [scope.tenantID])
            #expect(passed.runs.isEmpty)
            #expect(try await db.claim().map(\.runID) == [run])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `claimers side by side never get more of a tenant's runs than its bound`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            try await PlanTests.fill(db, scope, try await db.makeAgent(scope), runs: 200)
            let claimed = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        var count = 0
                        for _ in 0..<4 { count += try await db.claim(limit: 64, concurrency: 10).count }
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(claimed == 10)
        }
    }
}
