public import Domain
public import Postgres

/// A run that this process may work on, until its lease ends.
public struct ClaimedRun: Sendable {
    public let scope: TenantScope
    public let runID: RunID
    public let agentID: AgentID
    public let agentName: String
    public let versionID: AgentVersionID
    public let claimNumber: Int32
    /// The claim's own event: `run.started` or `run.resumed`.
    public let seq: Int64
    public let deadlineAt: Timestamp
}

public struct LeaseRenewal: Sendable {
    public let runID: RunID
    public let lastSeq: Int64
    public let isTenantSuspended: Bool
}

public struct OverdueCall: Sendable {
    public let scope: TenantScope
    public let runID: RunID
    public let callID: CallID
}

/// Claiming, renewing and sweeping: the roads across tenants that workers need.
public struct Claims: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    /// Runs to work on, and the tenant at which the next round begins. The queues of tenants in `passedOver` wait for another round.
    public func claim(
        worker: ReplicaID, leaseSeconds: Int, limit: Int, after cursor: TenantID, defaultConcurrency: Int, passedOver: [TenantID] = []
    ) async throws(PostgresError) -> (runs: [ClaimedRun], cursor: TenantID) {
        let rows = try await database.unscoped(
            """
            SELECT tenant_id, slug, run_id, agent_id, agent_name, version_id, claim_number, seq, deadline_at, last_tenant
            FROM hsafa.claim_runs(
                \(worker), \(Int32(leaseSeconds)), \(Int32(limit)), \(cursor), \(Int32(defaultConcurrency)), \(passedOver))
            """, lane: .alone)
        var next = cursor
        let runs = try rows.mapRows { row throws(PostgresError) in
            next = try row.decode(9)
            return ClaimedRun(
                scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)), runID: try row.decode(2),
                agentID: try row.decode(3), agentName: try row.decode(4), versionID: try row.decode(5), claimNumber: try row.decode(6),
                seq: try row.decode(7), deadlineAt: try row.decode(8))
        }
        return (runs, next)
    }

    /// What is not in the answer is no longer this worker's.
    public func renew(worker: ReplicaID, leaseSeconds: Int, _ runs: [ClaimedRun]) async throws(PostgresError) -> [LeaseRenewal] {
        try await database.unscoped(
            """
            SELECT run_id, last_seq, tenant_status FROM hsafa.renew_leases(
                \(worker), \(Int32(leaseSeconds)), \(runs.map(\.scope.tenantID)), \(runs.map(\.runID)), \(runs.map(\.claimNumber)))
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            LeaseRenewal(
                runID: try row.decode(0), lastSeq: try row.decode(1), isTenantSuspended: try row.decode(2, as: String.self) != "active")
        }
    }

    /// The last seq of each run, in one statement for all.
    public func lastSeqs(_ runs: [(TenantID, RunID)]) async throws(PostgresError) -> [RunID: Int64] {
        let rows = try await database.unscoped(
            "SELECT run_id, coalesce(last_seq, 0) FROM hsafa.last_seqs(\(runs.map(\.0)), \(runs.map(\.1)))")
        var seqs: [RunID: Int64] = [:]
        for row in rows { seqs[try row.decode(0)] = try row.decode(1, as: Int64.self) }
        return seqs
    }

    public func overdueRuns(limit: Int) async throws(PostgresError) -> [(scope: TenantScope, runID: RunID)] {
        try await database.unscoped(
            "SELECT tenant_id, slug, run_id FROM hsafa.overdue_runs(\(Int32(limit)))", lane: .slow
        ).mapRows { row throws(PostgresError) in
            (TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)), try row.decode(2))
        }
    }

    public func overdueCalls(limit: Int) async throws(PostgresError) -> [OverdueCall] {
        try await database.unscoped(
            "SELECT tenant_id, slug, run_id, call_id FROM hsafa.overdue_calls(\(Int32(limit)))", lane: .slow
        ).mapRows { row throws(PostgresError) in
            OverdueCall(
                scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)), runID: try row.decode(2),
                callID: try row.decode(3))
        }
    }
}
