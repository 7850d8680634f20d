import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

/// What is due at a time: rows that come and go with events, and are taken by one process at a time.
struct ScheduleTests {
    private static func posted(approval: ApprovalRequest? = nil) -> NewToolCall {
        NewToolCall(
            callID: .generate(), providerCallID: "p", tool: "t", target: .external, arguments: .emptyObject, device: nil,
            timeoutSeconds: 60,
            approval: approval, isDelivered: true)
    }

    private func take(_ db: StorageDatabase, _ kind: ScheduleKind = .delivery, limit: Int = 64, except: [TenantID] = []) async throws
        -> [DueCall]
    {
        try await db.database.takeDueCalls(kind, limit: limit, share: 8, except: except)
    }

    private func count(_ db: StorageDatabase, _ run: StorageRun) async throws -> Int {
        try await db.owner.query(
            "SELECT count(*) FROM hsafa.scheduled_calls WHERE tenant_id = \(run.scope.tenantID)", scope: run.scope.tenantID.description,
            lane: .slow
        ).first?.decode(0, as: Int.self) ?? -1
    }

    @Test func `each tenant has its share of a look, and what was taken is not taken again`() async throws {
        try await StorageDatabase.with { db in
            let many = try await StorageRun.start(db)
            try await many.ask((0..<20).map { _ in Self.posted() })
            let few = try await StorageRun.start(db)
            try await few.ask([Self.posted()])
            let first = try await take(db)
            #expect(first.filter { $0.scope == many.scope }.count == 8 && first.filter { $0.scope == few.scope }.count == 1)
            #expect(first.allSatisfy { $0.attempt == 1 && $0.agentName == "tester" })
            #expect(try await take(db, except: [many.scope.tenantID]).isEmpty)
            let second = try await take(db)
            #expect(second.count == 8 && Set(second.map(\.callID)).isDisjoint(with: first.map(\.callID)))
            #expect(try await take(db, limit: 3).count == 3)
            #expect(try await take(db).count == 1)
            #expect(try await take(db).isEmpty)
            #expect(try await take(db, .timer).isEmpty)
            try await db.asOwner(
                few.scope,
                "UPDATE hsafa.scheduled_calls SET due_at = now() - interval '1 second' WHERE tenant_id = \(few.scope.tenantID)")
            #expect(try await take(db).map(\.attempt) == [2], "a lease that is over")
        }
    }

    @Test func `what a process has under way counts in a tenant's share of its next look`() async throws {
        try await StorageDatabase.with { db in
            let many = try await StorageRun.start(db)
            try await many.ask((0..<20).map { _ in Self.posted() })
            let few = try await StorageRun.start(db)
            try await few.ask([Self.posted()])
            func take(share: Int, _ underWay: [TenantID: Int]) async throws -> [DueCall] {
                try await db.database.takeDueCalls(.delivery, limit: 64, share: share, except: [], underWay: underWay)
            }
            #expect(try await take(share: 8, [many.scope.tenantID: 5]).filter { $0.scope == many.scope }.count == 3)
            #expect(try await take(share: 1, [many.scope.tenantID: 1, few.scope.tenantID: 1]).isEmpty)
            #expect(try await take(share: 1, [:]).map(\.scope) == [many.scope], "one of each tenant that has none; few's was taken")
        }
    }

    @Test func `a timer that was set has its run's time, unless the call's was over before`() async throws {
        try await StorageDatabase.with { db in
            for isOver in [false, true] {
                let run = try await StorageRun.start(db)
                let call = StorageRun.call(.server)
                let state = try await run.ask([call])
                let asked = try #require(try await run.tenant.toolCall(call.callID)?.deadlineAt)
                if isOver {
                    try await db.asOwner(
                        run.scope,
                        "UPDATE hsafa.tool_calls SET deadline_at = now() - interval '1 second' WHERE tenant_id = \(run.scope.tenantID)")
                }
                let timer = try #require(RunMachine.schedule(call.callID, at: Timestamp.now().adding(seconds: 1), in: state))
                let answer = try await run.tenant.transition(
                    timer, of: run.runID, after: state.lastSeq, claim: run.claimed.claimNumber, at: .now())
                #expect(answer.verdict == .applied)
                let deadline = try #require(try await run.tenant.toolCall(call.callID)?.deadlineAt)
                #expect(isOver ? deadline < asked : deadline == run.claimed.deadlineAt, "\(deadline)")
            }
        }
    }

    @Test func `takers beside each other never have the same call`() async throws {
        try await StorageDatabase.with { db in
            var runs: [StorageRun] = []
            for _ in 0..<6 {
                let run = try await StorageRun.start(db)
                try await run.ask((0..<8).map { _ in Self.posted() })
                runs.append(run)
            }
            let taken = try await withThrowingTaskGroup(of: [CallID].self) { group in
                for _ in 0..<12 { group.addTask { try await take(db, limit: 8).map(\.callID) } }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            var rest: [CallID] = []
            while true {
                let more = try await take(db)
                if more.isEmpty { break }
                rest += more.map(\.callID)
            }
            #expect(taken.count + rest.count == 48 && Set(taken + rest).count == 48)
        }
    }

    @Test func `a row is there as long as something is due: held, released, and gone with the outcome`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let held = Self.posted(approval: ApprovalRequest(expiresSeconds: 60, rules: ["r"], now: .now()))
            let state = try await run.ask([held])
            #expect(try await count(db, run) == 1)
            #expect(try await take(db).isEmpty, "a person is asked first")
            let approved = try #require(RunMachine.approve(held.callID, by: "key:k", in: state))
            #expect(
                try await run.tenant.transition(approved, of: run.runID, after: state.lastSeq, claim: nil, at: .now()).verdict == .applied)
            let due = try #require(try await take(db).first)
            #expect(due.callID == held.callID)
            try await run.tenant.reschedule(held.callID, of: run.runID, afterMilliseconds: 0, attempt: 1, error: "No.")
            #expect(try await take(db).map(\.attempt) == [2])
            #expect(try await run.record(.result(.null, source: .external), of: held.callID) == .applied)
            #expect(try await count(db, run) == 0)
        }
    }

    @Test func `a decision that loses its conflict leaves no row`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let call = StorageRun.call(.server)
            let state = try await run.ask([call])
            let timer = try #require(RunMachine.schedule(call.callID, at: Timestamp.now().adding(seconds: -1), in: state))
            let stale = try await run.tenant.transition(
                timer, of: run.runID, after: state.lastSeq - 1, claim: run.claimed.claimNumber, at: .now())
            #expect(stale.verdict == .conflict)
            #expect(try await count(db, run) == 0)
            let applied = try await run.tenant.transition(
                timer, of: run.runID, after: state.lastSeq, claim: run.claimed.claimNumber, at: .now())
            #expect(applied.verdict == .applied)
            #expect(try await take(db, .timer).map(\.callID) == [call.callID])
            #expect(try await run.tenant.toolCall(call.callID)?.status == .dispatched)
        }
    }

    @Test func `of a suspended tenant nothing is taken, until it is resumed`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            try await run.ask([Self.posted()])
            try await db.asOwner(run.scope, "UPDATE hsafa.tenants SET status = 'suspended' WHERE tenant_id = \(run.scope.tenantID)")
            #expect(try await take(db).isEmpty)
            try await db.asOwner(run.scope, "UPDATE hsafa.tenants SET status = 'active' WHERE tenant_id = \(run.scope.tenantID)")
            #expect(try await take(db).count == 1)
        }
    }

    @Test func `a signing key is rotated with an overlap, and the key before ends`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            func key(_ byte: UInt8) -> SealedSecret { SealedSecret(keyID: "k", bytes: [byte]) }
            #expect(try await tenant.webhookSecret() == nil)
            let first = try await tenant.changes(by: .test).rotateWebhookSecret(key(1), overlapSeconds: 60)
            #expect(first?.current == key(1) && first?.previous == nil && first?.previousExpiresAt == nil)
            let second = try await tenant.changes(by: .test).rotateWebhookSecret(key(2), overlapSeconds: 60)
            #expect(second?.current == key(2) && second?.previous == key(1) && second?.previousExpiresAt != nil)
            #expect(try await tenant.webhookSecret()?.previous == key(1))
            let third = try await tenant.changes(by: .test).rotateWebhookSecret(key(3), overlapSeconds: 0)
            #expect(third?.current == key(3) && third?.previous == nil)
            _ = try await tenant.changes(by: .test).rotateWebhookSecret(key(4), overlapSeconds: 60)
            try await db.asOwner(
                tenant.scope,
                "UPDATE hsafa.webhook_secrets SET previous_expires_at = now() - interval '1 second' WHERE tenant_id = \(tenant.tenantID)")
            let after = try await tenant.webhookSecret()
            #expect(after?.current == key(4) && after?.previous == nil, "the overlap is over")
        }
    }
}
