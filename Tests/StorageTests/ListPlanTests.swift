import Domain
import Postgres
import Storage
import TestSupport
import Testing

/// Filtered lists of long tables find their indexes, whatever the other filters are.
struct ListPlanTests {
    @Test func `a filter of the audit log, and a rare end of runs, is looked up and not searched for`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let agent = try await db.makeAgent(scope)
            try await PlanTests.fill(db, scope, agent, runs: 20_000)
            try await db.asOwner(
                scope,
                """
                INSERT INTO hsafa.audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, target_kind, target_id)
                SELECT \(scope.tenantID), gen_random_uuid(), now() - make_interval(secs => i), 'key', 'k' || i % 500,
                    CASE WHEN i % 2000 = 0 THEN 'key.revoke' ELSE 'tool_call.decide' END, 'key', 't' || i
                FROM generate_series(1, 20000) i
                """)
            for table in ["audit_log", "runs"] { _ = try await db.owner.query(SQL(unsafeSQL: "ANALYZE hsafa.\(table)"), lane: .slow) }

            let tenant = db.database.tenant(scope)
            #expect(try await tenant.audit(AuditFilter(action: "key.revoke"), limit: 51, after: nil).count == 10)
            #expect(try await tenant.audit(AuditFilter(actorID: "k7"), limit: 51, after: nil).count == 40)
            #expect(try await tenant.audit(AuditFilter(targetID: "t7"), limit: 51, after: nil).count == 1)
            #expect(try await tenant.runs(RunFilter(status: .failed), limit: 51, after: nil).isEmpty)
            let wanted = Set(["audit_log_by_action", "audit_log_by_actor", "audit_log_by_target", "runs_ended_badly"])
            // The server's figures come a moment later.
            let isLookedUp = try await eventually {
                let rows = try await db.owner.query("SELECT indexrelname::text FROM pg_stat_user_indexes WHERE idx_scan > 0")
                return try wanted.isSubset(of: rows.map { try $0.decode(0, as: String.self) })
            }
            #expect(isLookedUp)
        }
    }
}
