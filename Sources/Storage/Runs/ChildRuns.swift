public import Domain
public import Postgres

/// A run that a call started, and how both stand.
public struct ChildLink: Sendable {
    public let runID: RunID
    public let status: RunStatus
    public let parentRunID: RunID
    public let parentCallID: CallID
    /// The call has its outcome.
    public let isCallOver: Bool
}

extension TenantDatabase {
    /// nil: there is no such run, or no call started it.
    public func childLink(_ child: RunID) async throws(PostgresError) -> ChildLink? {
        try await query(
            """
            SELECT r.run_id, r.status, r.parent_run_id, r.parent_call_id, c.finished_at IS NOT NULL
            FROM hsafa.runs r
            JOIN hsafa.tool_calls c ON c.tenant_id = r.tenant_id AND c.run_id = r.parent_run_id AND c.call_id = r.parent_call_id
            WHERE r.tenant_id = \(tenantID) AND r.run_id = \(child)
            """
        ).first.map { row throws(PostgresError) in
            ChildLink(
                runID: try row.decode(0), status: try row.decodeCase(1), parentRunID: try row.decode(2), parentCallID: try row.decode(3),
                isCallOver: try row.decode(4))
        }
    }

    /// Both are over: no sweep finds them any more. Writes nothing where one of them is not.
    public func settleChild(_ link: ChildLink) async throws(PostgresError) {
        _ = try await query(
            """
            WITH told AS (
                UPDATE hsafa.runs r SET parent_told = true
                WHERE r.tenant_id = \(tenantID) AND r.run_id = \(link.runID) AND r.finished_at IS NOT NULL AND NOT r.parent_told
                  AND EXISTS (
                    SELECT FROM hsafa.tool_calls c
                    WHERE c.tenant_id = \(tenantID) AND c.run_id = \(link.parentRunID) AND c.call_id = \(link.parentCallID)
                      AND c.finished_at IS NOT NULL)
            )
            UPDATE hsafa.tool_calls c SET child_settled = true
            WHERE c.tenant_id = \(tenantID) AND c.run_id = \(link.parentRunID) AND c.call_id = \(link.parentCallID)
              AND c.finished_at IS NOT NULL AND NOT c.child_settled
              AND EXISTS (
                SELECT FROM hsafa.runs r WHERE r.tenant_id = \(tenantID) AND r.run_id = \(link.runID) AND r.finished_at IS NOT NULL)
            """, lane: .alone)
    }

    /// The version of an agent that has this label.
    public func version(labeled label: String, of agent: AgentID) async throws(PostgresError) -> AgentVersionID? {
        try await query(
            """
            SELECT version_id FROM hsafa.agent_versions WHERE tenant_id = \(tenantID) AND agent_id = \(agent) AND version = \(label)
            """
        ).first.map { row throws(PostgresError) in try row.decode(0) }
    }
}

extension PostgresError {
    /// A run was not started, and nothing was written: its tree has as many as it may (`Limits.maxRunsOfTree`).
    public var isTreeFull: Bool { sqlState == "HST01" }
}

extension Claims {
    /// Children that have ended or are to end, and of which that was not said where it matters; the longest so first.
    public func unsettledChildren(limit: Int) async throws(PostgresError) -> [(scope: TenantScope, runID: RunID)] {
        try await database.unscoped(
            "SELECT tenant_id, slug, run_id FROM hsafa.unsettled_children(\(Int32(limit)))", lane: .slow
        ).mapRows { row throws(PostgresError) in
            (TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)), try row.decode(2))
        }
    }
}
