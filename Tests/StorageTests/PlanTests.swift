import Domain
import FoundationEssentials
import Postgres
import Storage
import TestSupport
import Testing

/// What the hot statements cost when the tables are large: plans and pages, not times.
struct PlanTests {
    /// Queued runs with their first event; ids as the gateway makes them, so that the log's partition is this month's.
    static func fill(_ db: StorageDatabase, _ scope: TenantScope, _ agent: AgentRecord, runs: Int) async throws {
        try await db.asOwner(
            scope,
            """
            WITH made AS (
                INSERT INTO hsafa.runs (tenant_id, run_id, agent_id, agent_name, version_id, status, deadline_at)
                SELECT \(scope.tenantID), (left(hsafa.uuid_at(now())::text, 19) || right(gen_random_uuid()::text, 17))::uuid,
                    \(agent.agentID), \(agent.name), \(agent.currentVersionID), 'queued', now() + interval '1 hour'
                FROM generate_series(1, \(runs)) RETURNING run_id
            )
            INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
            SELECT \(scope.tenantID), run_id, 1, 'run.created', '{}', now(), 0 FROM made
            """)
    }

    private func analyze(_ db: StorageDatabase) async throws {
        for table in ["runs", "run_events", "tool_calls"] {
            _ = try await db.owner.query(SQL(unsafeSQL: "ANALYZE hsafa.\(table)"), lane: .slow)
        }
    }

    private func text(_ rows: PostgresRows) throws -> String {
        try rows.map { try $0.decode(0, as: String.self) }.joined(separator: "\n")
    }

    /// The plan for these values, and the one that a prepared statement comes to after some uses.
    private func plans(_ db: StorageDatabase, _ scope: TenantScope, _ sql: SQL, literals: [String]) async throws -> [String] {
        let custom = try await db.app.query(
            SQL(unsafeSQL: "EXPLAIN " + sql.text, parameters: sql.parameters), scope: scope.tenantID.description, lane: .slow)
        let generic = try await db.app.withTransaction(scope: scope.tenantID.description) { transaction in
            _ = try await transaction.query("SET LOCAL plan_cache_mode = force_generic_plan")
            _ = try await transaction.query(SQL(unsafeSQL: "PREPARE looked_at AS " + sql.text))
            let rows = try await transaction.query(SQL(unsafeSQL: "EXPLAIN EXECUTE looked_at(\(literals.joined(separator: ", ")))"))
            _ = try await transaction.query("DEALLOCATE looked_at")
            return rows
        }
        return [try text(custom), try text(generic)]
    }

    /// Pages that a statement touches, everything inside its functions counted.
    private func pages(_ db: StorageDatabase, _ sql: SQL) async throws -> Int {
        let plan = try text(
            try await db.app.query(SQL(unsafeSQL: "EXPLAIN (ANALYZE, BUFFERS) " + sql.text, parameters: sql.parameters), lane: .slow))
        let line = try #require(plan.split(separator: "\n").first { $0.contains("Buffers: shared") })
        return line.split(separator: " ").reduce(0) { sum, word in
            guard word.hasPrefix("hit=") || word.hasPrefix("read=") else { return sum }
            return sum + (Int(word.drop { $0 != "=" }.dropFirst()) ?? 0)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `reading a run and its log goes by index among twenty thousand`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            try await Self.fill(db, run.scope, run.agent, runs: 20_000)
            try await db.asOwner(
                run.scope,
                """
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                SELECT \(run.scope.tenantID), \(run.runID), n, CASE WHEN n % 50 = 0 THEN 'step.started' ELSE 'assistant.delta' END,
                    '{"text":"word"}', now(), 1 FROM generate_series(3, 20000) n
                """)
            try await analyze(db)
            // Months without a row may be scanned: there is nothing to scan.
            let partition = try text(
                try await db.owner.query(
                    "SELECT DISTINCT tableoid::regclass::text FROM hsafa.run_events WHERE tenant_id = \(run.scope.tenantID)",
                    scope: run.scope.tenantID.description)
            ).replacing("hsafa.", with: "")
            #expect(partition.hasPrefix("run_events_2"), "\(partition)")
            let ids = ["'\(run.scope.tenantID)'", "'\(run.runID)'"]
            let statements: [(String, SQL, [String])] = [
                ("run", run.tenant.runStatement(run.runID), ids + ids),
                ("fold", run.tenant.foldStatement(run.runID, after: 19_000), ids + ["19000"] + ids),
                ("fold from the start", run.tenant.foldStatement(run.runID, after: 0), ids + ["0"] + ids),
                (
                    "history", run.tenant.eventsStatement(of: run.runID, after: 10_000, limit: 500, types: nil),
                    ids + ["10000", "true", "'{}'", "500"]
                ),
            ]
            for (name, sql, literals) in statements {
                for plan in try await plans(db, run.scope, sql, literals: literals) {
                    #expect(plan.contains("Index"), "\(name):\n\(plan)")
                    #expect(!plan.contains("Seq Scan on \(partition)") && !plan.contains("Seq Scan on runs"), "\(name):\n\(plan)")
                }
            }
            // A fold leaves the deltas' index alone.
            let fold = try await plans(db, run.scope, run.tenant.foldStatement(run.runID, after: 0), literals: ids + ["0"] + ids)
            #expect(fold[0].contains("tenant_id_run_id_seq_idx"), "\(fold[0])")
            #expect(!fold[0].contains("Sort"), "\(fold[0])")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `claiming looks at no more of a long queue than it takes`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            try await Self.fill(db, scope, try await db.makeAgent(scope), runs: 20_000)
            try await analyze(db)
            let claim: SQL = """
                SELECT * FROM hsafa.claim_runs(\(ReplicaID.generate()), 60, 1, '00000000-0000-0000-0000-000000000000'::uuid, 1000)
                """
            // The first use of a function reads catalogs.
            _ = try await pages(db, claim)
            let touched = try await pages(db, claim)
            #expect(touched < 300, "\(touched) pages")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `a tenant at its bound is looked at once a round`() async throws {
        try await StorageDatabase.with { db in
            // Stands first in the round, and has nothing left once it is claimed: the round must find its end without it.
            let first = try await db.makeTenant()
            let busy = try await db.makeTenant()
            #expect(first.tenantID < busy.tenantID)
            try await Self.fill(db, busy, try await db.makeAgent(busy), runs: 1000)
            let claim: SQL = """
                SELECT * FROM hsafa.claim_runs(\(ReplicaID.generate()), 60, 64, '00000000-0000-0000-0000-000000000000'::uuid, 1)
                """
            _ = try await pages(db, claim)
            _ = try await db.makeRun(first, try await db.makeAgent(first))
            let touched = try await pages(db, claim)
            #expect(touched < 1500, "\(touched) pages")
        }
    }
}
