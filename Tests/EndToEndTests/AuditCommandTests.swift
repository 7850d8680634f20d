import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

/// Retention of the audit log, by the real binary against a database of its own.
@Suite(.serialized, .timeLimit(.minutes(5))) struct AuditCommandTests {
    private func prune(_ environment: TestEnvironment, _ arguments: String..., url: String? = nil) throws -> Command {
        try Command.run(
            "hsafa-gateway", ["audit", "prune"] + arguments, ["DATABASE_OWNER_URL": url ?? environment.ownerURL])
    }

    /// Rows as changes would have left them so many days ago.
    private func fill(_ environment: TestEnvironment, _ scope: TenantScope, rows: Int, daysAgo: Int) async throws {
        _ = try await environment.owner.query(
            """
            INSERT INTO hsafa.audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, target_kind, target_id)
            SELECT \(scope.tenantID), gen_random_uuid(), now() - make_interval(days => \(Int32(daysAgo))), 'key', 'k', 'key.create', 'key', 'x'
            FROM generate_series(1, \(rows))
            """, scope: scope.tenantID.description, lane: .alone)
    }

    private func count(_ environment: TestEnvironment, _ scope: TenantScope, _ condition: SQL) async throws -> Int {
        let rows = try await environment.owner.query(
            SQL(
                unsafeSQL: "SELECT count(*) FROM hsafa.audit_log WHERE tenant_id = '\(scope.tenantID)' AND (\(condition.text))"),
            scope: scope.tenantID.description, lane: .alone)
        return try #require(rows.first).decode(0, as: Int.self)
    }

    @Test func `old rows go in batches that say so, and nothing else goes`() async throws {
        let environment = try await TestEnvironment.fresh()
        let (large, small, young) = (
            try await environment.makeTenant(), try await environment.makeTenant(), try await environment.makeTenant()
        )
        let many = Limits.auditPruneBatch + 7
        try await fill(environment, large, rows: many, daysAgo: 500)
        try await fill(environment, large, rows: 5, daysAgo: 399)
        try await fill(environment, small, rows: 3, daysAgo: 401)
        try await fill(environment, young, rows: 3, daysAgo: 10)

        let looked = try prune(environment, "--older-than", "400d", "--dry-run", "--json")
        #expect(looked.status == 0, "\(looked.error)")
        #expect(try looked.json()["rows"]?.int == many + 3 && looked.json()["tenants"]?.int == 2)
        #expect(try await count(environment, large, "action = 'audit.prune'") == 0)

        let one = try prune(environment, "--older-than", "400d", "--tenant", small.slug, "--json")
        #expect(try one.json()["rows"]?.int == 3, "\(one.error)")
        #expect(try await count(environment, large, "action = 'key.create'") == many + 5)

        let all = try prune(environment, "--older-than", "400d")
        #expect(all.status == 0 && all.text.contains("Deleted \(many) rows of 1 tenants"), "\(all.text) \(all.error)")
        #expect(try await count(environment, large, "at < now() - interval '400 days'") == 0)
        #expect(try await count(environment, large, "action = 'key.create'") == 5)
        #expect(try await count(environment, young, "action = 'key.create'") == 3)
        #expect(try await count(environment, young, "action = 'audit.prune'") == 0)
        // Each batch left a row, and together they name every row that went.
        let rows = try await environment.database.tenant(large).audit(AuditFilter(action: "audit.prune"), limit: 10, after: nil)
        #expect(rows.count == 2)
        let told = try rows.map { try #require(try JSONDocument(parsing: $0.details?.bytes ?? []).root["rows"]?.int) }
        #expect(told.reduce(0, +) == many)
        #expect(rows.allSatisfy { $0.actorKind == "operator" && $0.targetID == large.tenantID.description })
        #expect(try prune(environment, "--older-than", "400d", "--json").json()["rows"]?.int == 0)
    }

    @Test func `the application's role deletes nothing by this road, and wrong arguments nothing at all`() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        try await fill(environment, scope, rows: 2, daysAgo: 500)
        for arguments in [["--older-than", "400d"], ["--older-than", "400d", "--tenant", scope.slug]] {
            let refused = try Command.run(
                "hsafa-gateway", ["audit", "prune"] + arguments, ["DATABASE_OWNER_URL": environment.appURL])
            #expect(refused.status != 0 && refused.error.contains("permission denied"), "\(refused.text) \(refused.error)")
        }
        for days in ["0d", "-1d", "400", "d", "1h", "99999999999999999999d"] {
            #expect(try prune(environment, "--older-than=\(days)").status == 64, "\(days)")
        }
        #expect(try prune(environment, "--older-than", "400d", "--tenant", "nobody").status == 64)
        #expect(try await count(environment, scope, "action = 'key.create'") == 2)
    }
}
