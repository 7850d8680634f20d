import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

/// Row-level security, seen from the application's own role: the wall that stands when a statement forgets its tenant.
struct IsolationTests {
    /// A row in every table of a tenant.
    private func furnish(_ db: StorageDatabase) async throws -> StorageRun {
        let run = try await StorageRun.start(db)
        let call = StorageRun.call(.device)
        try await run.ask([call])
        #expect(try await run.record(.result(RawJSON("1"), source: .device), of: call.callID) == .applied)
        _ = try await Bootstrap(owner: db.owner).insertKey(
            tenant: run.scope.tenantID, publicID: "key" + run.scope.slug, name: "k", secretHash: "h", scopes: [.runsRead], isAdmin: false)
        let device = NewDevice(
            deviceKey: "d", publicKey: [UInt8](repeating: 7, count: 32), displayName: nil, platform: nil, labels: [:], allowedTools: nil,
            capabilities: .none, status: .active)
        let id = DeviceID.generate()
        #expect(try await run.tenant.changes(by: .test).insertDevice(id, device) != nil)
        #expect(
            try await run.tenant.openSession(
                .generate(), device: id, replica: .generate(), remoteAddress: nil, capabilities: .none) == [])
        try await db.asOwner(
            run.scope,
            """
            INSERT INTO hsafa.enrollment_tokens (tenant_id, token_id, public_id, secret_hash, auto_approve, expires_at)
            VALUES (\(run.scope.tenantID), \(EnrollmentTokenID.generate()), \(run.scope.slug), '\\x00', true, now())
            """)
        _ = try await run.tenant.changes(by: .test).putPolicy("p", document: RawJSON("{\"version\":1}"), hash: "h") { _ in }
        try await db.asOwner(
            run.scope,
            """
            INSERT INTO hsafa.approvals (tenant_id, run_id, call_id, status, call_hash, rules, expires_at)
            VALUES (\(run.scope.tenantID), \(run.runID), \(call.callID), 'pending', 'h', '[]', now())
            """)
        #expect(
            try await run.tenant.changes(by: .test).putSecret("KEY", SealedSecret(keyID: "k", bytes: [1]), hosts: ["a.test"])?.isNew == true
        )
        #expect(
            try await run.tenant.changes(by: .test).rotateWebhookSecret(SealedSecret(keyID: "k", bytes: [1]), overlapSeconds: 60) != nil)
        try await db.asOwner(
            run.scope,
            """
            INSERT INTO hsafa.scheduled_calls (tenant_id, run_id, call_id, kind, due_at)
            VALUES (\(run.scope.tenantID), \(run.runID), \(call.callID), 'timer', now() + interval '1 day')
            """)
        try await db.asOwner(
            run.scope,
            """
            INSERT INTO hsafa.run_tokens (tenant_id, token_id, run_id, public_id, secret_hash, grants, key_id, expires_at)
            SELECT tenant_id, \(RunTokenID.generate()), \(run.runID), \(run.scope.slug), sha256('x'), '{}', key_id, now()
            FROM hsafa.api_keys WHERE tenant_id = \(run.scope.tenantID) LIMIT 1
            """)
        let request = IdempotentRequest(
            try #require(IdempotencyKey(header: "k")), principalID: .generate(), operation: "createRun", method: "POST", path: "/api/runs",
            query: nil, contentType: nil, body: [])
        #expect(try await run.tenant.inTransaction { try await $0.takeIdempotencySlot(request, waitMilliseconds: 1000) })
        return run
    }

    private func tables(_ db: StorageDatabase) async throws -> [(name: String, isPartition: Bool)] {
        try await db.app.query(
            """
            SELECT c.relname::text, c.relispartition FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'hsafa' AND a.attname = 'tenant_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p') ORDER BY 1
            """
        ).map { (try $0.decode(0), try $0.decode(1)) }
    }

    /// Rows that a statement saw or changed; 0 where the role may not even try.
    private func reach(_ client: PostgresClient, _ sql: String, scope: String?, counts: Bool) async throws(PostgresError) -> Int {
        do throws(PostgresError) {
            let rows = try await client.query(SQL(unsafeSQL: sql), scope: scope, lane: .alone)
            return counts ? try rows.first?.decode(0, as: Int.self) ?? 0 : rows.affected
        } catch  where error.sqlState == "42501" {
            return 0
        }
    }

    @Test func `without a scope, or with another tenant's, no table gives or takes a row`() async throws {
        try await StorageDatabase.with { db in
            let run = try await furnish(db)
            let other = try await db.makeTenant()
            let tables = try await tables(db)
            #expect(tables.count > 10)
            let own = run.scope.tenantID.description
            for (table, isPartition) in tables {
                for scope in [nil, other.tenantID.description] {
                    let at = "\(table), scope \(scope ?? "none")"
                    let mine = "WHERE tenant_id = '\(own)'"
                    #expect(
                        try await reach(db.app, "SELECT count(*) FROM hsafa.\(table) \(mine)", scope: scope, counts: true) == 0, "\(at)")
                    #expect(
                        try await reach(db.app, "UPDATE hsafa.\(table) SET tenant_id = tenant_id \(mine)", scope: scope, counts: false)
                            == 0,
                        "\(at)")
                    #expect(try await reach(db.app, "DELETE FROM hsafa.\(table) \(mine)", scope: scope, counts: false) == 0, "\(at)")
                    let insert = await postgresError {
                        try await db.app.query(
                            SQL(unsafeSQL: "INSERT INTO hsafa.\(table) (tenant_id) VALUES ('\(own)')"), scope: scope, lane: .alone)
                    }
                    // Security is checked before any NOT NULL or key.
                    #expect(insert?.sqlState == "42501", "\(at): \(insert.map { "\($0)" } ?? "a row went in")")
                }
                // Partitions are reached through their parent alone.
                let seen = try await reach(db.app, "SELECT count(*) FROM hsafa.\(table)", scope: own, counts: true)
                #expect((seen > 0) == !isPartition, "\(table) shows \(seen) rows to its tenant")
            }
        }
    }

    @Test func `every table of tenants has its walls enabled and forced`() async throws {
        try await StorageDatabase.with { db in
            let rows = try await db.app.query(
                """
                SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity FROM pg_attribute a
                JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'hsafa' AND a.attname = 'tenant_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                """)
            for row in rows {
                let name = try row.decode(0, as: String.self)
                #expect(try row.decode(1, as: Bool.self), "\(name)")
            }
        }
    }

    @Test func `repositories of another tenant see no run, agent or version`() async throws {
        try await StorageDatabase.with { db in
            let run = try await furnish(db)
            let other = db.database.tenant(try await db.makeTenant())
            #expect(try await other.run(run.runID) == nil)
            #expect(try await other.fold(run.runID) == nil)
            #expect(try await other.events(of: run.runID, after: 0, limit: 10).isEmpty)
            #expect(try await other.pendingToolCalls(of: run.runID).isEmpty)
            #expect(try await other.agent(run.agent.agentID) == nil)
            #expect(try await other.version(run.claimed.versionID) == nil)
            #expect(try await other.runs(RunFilter(), limit: 10, after: nil).isEmpty)
            #expect(try await !other.changes(by: .test).deleteAgent(run.agent.agentID))
            let cancel = try #require(RunMachine.requestCancel(try await run.fold(), reason: nil))
            let answer = try await other.transition(cancel, of: run.runID, after: try await run.fold().lastSeq, claim: nil, at: .now())
            #expect(answer.verdict == .notFound)
        }
    }

    /// Every function that sees more than one tenant's rows, and why it must.
    private static let crossing = [
        "find_api_key": "a key's row is looked up before its tenant is known",
        "find_enrollment_token": "so is an enrolment token's",
        "find_device": "so is a device's, before it has proven itself",
        "access_changes": "caches hear of keys and tenants that changed, whosever they are",
        "find_run_token": "and a run token's", "sweep_run_tokens": "a sweep",
        "claim_runs": "a worker takes runs of all tenants in turn",
        "renew_leases": "and keeps them",
        "last_seqs": "feeds of all tenants are checked in one statement",
        "overdue_runs": "a sweep", "overdue_calls": "a sweep", "unsettled_children": "a sweep",
        "dispatched_calls": "a sweep", "waiting_device_calls": "a sweep", "sweep_idempotency_keys": "a sweep",
        "renew_device_sessions": "a replica's sockets are of all tenants", "end_device_sessions": "and end with it",
        "lose_device_sessions": "a sweep: replicas that are gone",
        "note_keys_used": "when keys were last used is written for all in one statement",
        "ensure_run_event_partitions": "partitions belong to nobody",
        "ensure_tenant": "the owner's alone", "find_tenant": "the owner's alone", "tenant_limits_by_slug": "the owner's alone",
        "set_tenant_limits": "the owner's alone",
        "secrets_under_other_keys": "the owner's alone",
        "webhook_secrets_under_other_keys": "the owner's alone",
        "next_tenant_with_old_audit": "the owner's alone",
        "take_due_calls": "timers and deliveries of all tenants are taken in one statement",
        "find_external_call": "a result's tenant is known from its token, before anything of it is read",
        "create_tenant": "asks for an admin's key", "list_tenants": "asks for an admin's key",
        "update_tenant": "asks for an admin's key", "set_tenant_status": "asks for an admin's key", "list_audit": "asks for an admin's key",
    ]

    @Test func `functions that cross tenants belong to the system role, pin their path and are closed to the public`() async throws {
        try await StorageDatabase.with { db in
            let rows = try await db.owner.query(
                """
                SELECT p.proname::text, r.rolname::text, coalesce(array_to_string(p.proconfig, ','), ''),
                    coalesce(array_to_string(p.proacl, ','), 'open')
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
                WHERE n.nspname = 'hsafa' AND p.prosecdef
                """)
            #expect(try Set(rows.map { try $0.decode(0, as: String.self) }) == Set(Self.crossing.keys), "a new one needs its reason here")
            for row in rows {
                let name = try row.decode(0, as: String.self)
                // Partitions are made by the owner of their parent.
                let owner = name == "ensure_run_event_partitions" ? "hsafa_owner" : "hsafa_system"
                #expect(try row.decode(1, as: String.self) == owner, "\(name)")
                #expect(try row.decode(2, as: String.self).contains("search_path=hsafa, pg_temp"), "\(name)")
                let grants = try row.decode(3, as: String.self)
                #expect(grants != "open" && !grants.split(separator: ",").contains { $0.hasPrefix("=") }, "\(name) is open to the public")
            }
        }
    }
}
