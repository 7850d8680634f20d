public import Domain
public import Postgres

/// A call for which something is due, taken by this process for `Limits.scheduledLeaseSeconds`.
public struct DueCall: Sendable {
    public let scope: TenantScope
    public let runID: RunID
    public let callID: CallID
    /// With this one.
    public let attempt: Int
    public let agentName: String
    public let versionID: AgentVersionID
    public let deadlineAt: Timestamp
}

extension Database {
    /// What is due of one kind, of any tenant but `except`, and at most `share` of each, with what the caller has under way.
    public func takeDueCalls(
        _ kind: ScheduleKind, limit: Int, share: Int, except: some Sequence<TenantID>, underWay: [TenantID: Int] = [:]
    ) async throws(PostgresError) -> [DueCall] {
        let busy = Array(underWay)
        return try await client.query(
            """
            SELECT tenant_id, slug, run_id, call_id, attempts, agent_name, version_id, deadline_at
            FROM hsafa.take_due_calls(
                \(kind.rawValue), \(Int32(limit)), \(Int32(share)), \(Int32(Limits.scheduledLeaseSeconds)), \(Array(except)),
                \(busy.map(\.key)), \(busy.map { Int32($0.value) }))
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            DueCall(
                scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)), runID: try row.decode(2),
                callID: try row.decode(3), attempt: try row.decode(4), agentName: try row.decode(5), versionID: try row.decode(6),
                deadlineAt: try row.decode(7))
        }
    }
}

extension TenantDatabase {
    /// Nothing is due for it any more. Where an outcome is written, that does it.
    public func unschedule(_ call: CallID, of run: RunID) async throws(PostgresError) {
        _ = try await query(
            "DELETE FROM hsafa.scheduled_calls WHERE tenant_id = \(tenantID) AND run_id = \(run) AND call_id = \(call)")
    }

    /// The next attempt, and what the one before came to, as the tenant is shown it. A call that was held meanwhile stays held. The call's row
    /// is locked before its schedule's, as by whoever writes an outcome, and alone, so that no other statements hold their rows meanwhile.
    public func reschedule(
        _ call: CallID, of run: RunID, afterMilliseconds delay: Int, attempt: Int, error: String
    ) async throws(PostgresError) {
        _ = try await query(
            """
            WITH noted AS (
                UPDATE hsafa.tool_calls SET failed_attempts = \(attempt), delivery_error = \(error)
                WHERE tenant_id = \(tenantID) AND run_id = \(run) AND call_id = \(call) AND finished_at IS NULL
                RETURNING 1
            )
            UPDATE hsafa.scheduled_calls SET due_at = clock_timestamp() + make_interval(secs => \(Double(delay) / 1000))
            WHERE tenant_id = \(tenantID) AND run_id = \(run) AND call_id = \(call) AND due_at <> 'infinity'
              AND (SELECT count(*) FROM noted) >= 0
            """, lane: .alone)
    }
}
