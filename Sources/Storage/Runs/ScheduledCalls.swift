public import Domain
public import Postgres

/// A call for which something is due, taken by this process for `Limits.scheduledLeaseSeconds`.
public struct DueCall: Sendable {
    public enum Kind: String, Sendable {
        case timer, delivery
    }

    public let scope: TenantScope
    public let runID: RunID
    public let callID: CallID
    public let kind: Kind
    /// With this one.
    public let attempt: Int
    /// It has no outcome yet.
    public let isOpen: Bool
    public let agentName: String
    public let versionID: AgentVersionID
    public let deadlineAt: Timestamp
}

extension Database {
    /// - Parameter busy: tenants whose deliveries are not wanted now.
    public func takeDueCalls(busy: [TenantID]) async throws(PostgresError) -> [DueCall] {
        try await client.query(
            """
            SELECT tenant_id, slug, run_id, call_id, kind, attempts, is_open, agent_name, version_id, deadline_at
            FROM hsafa.take_due_calls(\(Int32(Limits.scheduledBatch)), \(Int32(Limits.scheduledLeaseSeconds)),
                \(Int32(Limits.deliveriesOfTenantAtOnce)), \(busy))
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            DueCall(
                scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)), runID: try row.decode(2),
                callID: try row.decode(3), kind: try row.decodeCase(4), attempt: try row.decode(5), isOpen: try row.decode(6),
                agentName: try row.decode(7), versionID: try row.decode(8), deadlineAt: try row.decode(9))
        }
    }
}

extension TenantDatabase {
    /// Nothing is due for it any more.
    public func unschedule(_ call: CallID, of run: RunID) async throws(PostgresError) {
        _ = try await query(
            "DELETE FROM hsafa.scheduled_calls WHERE tenant_id = \(tenantID) AND run_id = \(run) AND call_id = \(call)")
    }

    /// The next attempt.
    public func reschedule(_ call: CallID, of run: RunID, afterMilliseconds delay: Int) async throws(PostgresError) {
        _ = try await query(
            """
            UPDATE hsafa.scheduled_calls SET due_at = clock_timestamp() + make_interval(secs => \(Double(delay) / 1000))
            WHERE tenant_id = \(tenantID) AND run_id = \(run) AND call_id = \(call)
            """)
    }
}
