import Domain
import FoundationEssentials
import JSON
import Postgres
import Storage
import TestSupport
import Testing

struct ClaimTests {
    @Test func `runs are claimed in the order in which they were queued, each with its first event`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let agent = try await db.makeAgent(scope)
            var runs: [RunID] = []
            for _ in 0..<6 { runs.append(try await db.makeRun(scope, agent)) }
            // Against the order of ids.
            for (index, run) in runs.reversed().enumerated() {
                try await db.asOwner(
                    scope,
                    """
                    UPDATE hsafa.runs SET queued_at = now() + make_interval(secs => \(Double(index)))
                    WHERE tenant_id = \(scope.tenantID) AND run_id = \(run)
                    """)
            }
            let claimed = try await db.claim(limit: 16)
            #expect(claimed.map(\.runID) == Array(runs.reversed().prefix(4)))
            #expect(claimed.allSatisfy { $0.claimNumber == 1 && $0.seq == 2 && $0.agentName == "tester" && $0.scope == scope })
            let started = try await db.database.tenant(scope).events(of: claimed[0].runID, after: 1, limit: 5)
            #expect(started.map(\.type) == [.runStarted])
            #expect(started.map(\.claimNumber) == [1])
            #expect(try await db.database.tenant(scope).run(claimed[0].runID)?.status == .running)
        }
    }

    @Test func `one tenant's queue does not keep another waiting`() async throws {
        try await StorageDatabase.with { db in
            var tenants: [(TenantScope, AgentRecord)] = []
            for _ in 0..<2 {
                let scope = try await db.makeTenant()
                tenants.append((scope, try await db.makeAgent(scope)))
            }
            let ordered = tenants.sorted { $0.0.tenantID < $1.0.tenantID }
            // The busy one comes first in the round.
            try await PlanTests.fill(db, ordered[0].0, ordered[0].1, runs: 500)
            let lone = try await db.makeRun(ordered[1].0, ordered[1].1)
            let claimed = try await db.claim(limit: 64)
            #expect(claimed.contains { $0.runID == lone })
            #expect(claimed.count <= 64)
            #expect(claimed.count > 1)
        }
    }

    @Test func `rounds begin where the one before ended, so that all tenants get their turn`() async throws {
        try await StorageDatabase.with { db in
            var scopes: Set<TenantScope> = []
            for _ in 0..<6 {
                let scope = try await db.makeTenant()
                let agent = try await db.makeAgent(scope)
                for _ in 0..<3 { _ = try await db.makeRun(scope, agent) }
                scopes.insert(scope)
            }
            var cursor = TenantID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
            var seen: [TenantScope] = []
            for _ in 0..<6 {
                let round = try await db.claims.claim(
                    worker: .generate(), leaseSeconds: 60, limit: 1, after: cursor, defaultConcurrency: 100)
                #expect(round.runs.count == 1)
                seen += round.runs.map(\.scope)
                cursor = round.cursor
            }
            #expect(Set(seen) == scopes)
        }
    }

    @Test func `a tenant has no more runs at once than its bound, and one that ends makes room`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let agent = try await db.makeAgent(scope)
            for _ in 0..<5 { _ = try await db.makeRun(scope, agent) }
            #expect(try await db.claim(limit: 64, concurrency: 3).count == 3)
            #expect(try await db.claim(limit: 64, concurrency: 3).isEmpty)
            _ = try await TenantLimitsStore(owner: db.owner).apply(TenantLimitPatch([.concurrentRuns: 4]), to: scope.tenantID)
            let fourth = try await db.claim(limit: 64, concurrency: 3)
            #expect(fourth.count == 1)
            let end = RunMachine.failed(RunState(), code: "c", message: "m")
            let run = try #require(fourth.first)
            let answer = try await db.database.tenant(scope).transition(
                end, of: run.runID, after: run.seq, claim: run.claimNumber, at: .now())
            #expect(answer.verdict == .applied)
            #expect(try await db.claim(limit: 64, concurrency: 3).count == 1)
        }
    }

    @Test func `a suspended tenant is passed over, and goes on when it is active again`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            _ = try await db.makeRun(run.scope, run.agent)
            try await db.asOwner(run.scope, "UPDATE hsafa.tenants SET status = 'suspended' WHERE tenant_id = \(run.scope.tenantID)")
            try await db.asOwner(
                run.scope,
                "UPDATE hsafa.runs SET lease_expires_at = now() - interval '1 s' WHERE tenant_id = \(run.scope.tenantID) AND status = 'running'"
            )
            let free = try await db.makeTenant()
            let other = try await db.makeRun(free, try await db.makeAgent(free))
            #expect(try await db.claim().map(\.runID) == [other])
            try await db.asOwner(run.scope, "UPDATE hsafa.tenants SET status = 'active' WHERE tenant_id = \(run.scope.tenantID)")
            #expect(try await db.claim().count == 2)
        }
    }

    @Test func `a run whose lease ran out is taken up by another, and its first worker is fenced`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            #expect(try await run.append([RunMachine.stepStarted(1)], after: 2) == 3)
            #expect(try await db.claim().isEmpty)
            try await db.asOwner(
                run.scope, "UPDATE hsafa.runs SET lease_expires_at = now() - interval '1 s' WHERE tenant_id = \(run.scope.tenantID)")
            let taken = try #require(try await db.claim().first)
            #expect(taken.runID == run.runID)
            #expect(taken.claimNumber == 2)
            #expect(taken.seq == 4)
            let event = try #require(try await run.tenant.events(of: run.runID, after: 3, limit: 1).first)
            #expect(event.type == .runResumed)
            #expect(event.claimNumber == 2)
            #expect(try event.data.document().root["reason"]?.string == "recovered")
            #expect(try await run.fold().recoveries == 1)
            // What the first worker writes behind what it knows does not go in.
            #expect(try await run.append([RunMachine.stepStarted(2)], after: 3) == nil)
            let end = RunMachine.failed(try await run.fold(), code: "c", message: "m")
            #expect(try await run.tenant.transition(end, of: run.runID, after: 4, claim: 1, at: .now()).verdict == .fenced)
        }
    }

    @Test func `claimers at once never get the same run, and together they get all`() async throws {
        try await StorageDatabase.with { db in
            var expected: Set<RunID> = []
            for _ in 0..<5 {
                let scope = try await db.makeTenant()
                let agent = try await db.makeAgent(scope)
                for _ in 0..<24 { expected.insert(try await db.makeRun(scope, agent)) }
            }
            let claimed = try await withThrowingTaskGroup(of: [RunID].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let worker = ReplicaID.generate()
                        var mine: [RunID] = []
                        var emptyRounds = 0
                        while emptyRounds < 3 {
                            let runs = try await db.claim(worker: worker, limit: 16).map(\.runID)
                            emptyRounds = runs.isEmpty ? emptyRounds + 1 : 0
                            mine += runs
                        }
                        return mine
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            // What all passed over while another held its lock is there for the next round.
            let left = try await db.claim(limit: 1000).map(\.runID)
            #expect(Set(claimed).count == claimed.count)
            #expect(Set(claimed + left) == expected)
            #expect(claimed.count + left.count == expected.count)
        }
    }

    @Test func `a lease is renewed for its own worker and claim alone`() async throws {
        try await StorageDatabase.with { db in
            let worker = ReplicaID.generate()
            let scope = try await db.makeTenant()
            let agent = try await db.makeAgent(scope)
            _ = try await db.makeRun(scope, agent)
            _ = try await db.makeRun(scope, agent)
            let claimed = try await db.claim(worker: worker)
            #expect(claimed.count == 2)
            #expect(try await db.claims.renew(worker: .generate(), leaseSeconds: 60, claimed).isEmpty)
            let renewed = try await db.claims.renew(worker: worker, leaseSeconds: 60, claimed)
            #expect(Set(renewed.map(\.runID)) == Set(claimed.map(\.runID)))
            #expect(renewed.allSatisfy { $0.lastSeq == 2 && !$0.isTenantSuspended })
            // Lost to a later claim of the same worker.
            try await db.asOwner(
                scope,
                """
                UPDATE hsafa.runs SET lease_expires_at = now() - interval '1 s'
                WHERE tenant_id = \(scope.tenantID) AND run_id = \(claimed[0].runID)
                """)
            #expect(try await db.claim(worker: worker).map(\.claimNumber) == [2])
            try await db.asOwner(scope, "UPDATE hsafa.tenants SET status = 'suspended' WHERE tenant_id = \(scope.tenantID)")
            let rest = try await db.claims.renew(worker: worker, leaseSeconds: 60, claimed)
            #expect(rest.map(\.runID) == [claimed[1].runID])
            #expect(rest.first?.isTenantSuspended == true)
            #expect(try await db.claims.renew(worker: worker, leaseSeconds: 60, []).isEmpty)
        }
    }

    @Test func `the last seqs of many runs come in one answer`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let unknown = RunID.generate()
            let seqs = try await db.claims.lastSeqs([(run.scope.tenantID, run.runID), (run.scope.tenantID, unknown)])
            #expect(seqs == [run.runID: 2, unknown: 0])
        }
    }
}
