public import Domain
public import JSON
public import Postgres

/// An approval with the call that it is of.
public struct ApprovalRecord: Sendable {
    public let runID: RunID
    public let callID: CallID
    public let agentName: String
    public let tool: String
    public let target: ToolTarget
    public let arguments: RawJSON
    public let status: ApprovalStatus
    public let callHash: String
    /// A JSON array of the rules that want it.
    public let rules: RawJSON
    public let requestedAt: Timestamp
    public let expiresAt: Timestamp
    public let decidedAt: Timestamp?
}

extension TenantDatabase {
    /// The latest first.
    public func approvals(_ status: ApprovalStatus?, limit: Int, after: CallID?) async throws(PostgresError) -> [ApprovalRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.approvalColumns)
            WHERE a.tenant_id = \(tenantID) AND (\(status?.rawValue)::text IS NULL OR a.status = \(status?.rawValue))
              AND (\(after)::uuid IS NULL OR a.call_id < \(after))
            ORDER BY a.call_id DESC LIMIT \(limit)
            """, lane: .list
        ).mapRows(Self.approval)
    }

    /// nil: the run has no such call, or nobody is asked about it.
    public func approval(of call: CallID, in run: RunID) async throws(PostgresError) -> ApprovalRecord? {
        try await query(
            """
            SELECT \(unsafeSQL: Self.approvalColumns) WHERE a.tenant_id = \(tenantID) AND a.run_id = \(run) AND a.call_id = \(call)
            """
        ).first.map(Self.approval)
    }

    private static let approvalColumns = """
        a.run_id, a.call_id, r.agent_name, c.tool, c.target, c.args, a.status, a.call_hash, a.rules, a.requested_at, a.expires_at,
            a.decided_at
        FROM hsafa.approvals a
        JOIN hsafa.tool_calls c ON c.tenant_id = a.tenant_id AND c.run_id = a.run_id AND c.call_id = a.call_id
        JOIN hsafa.runs r ON r.tenant_id = a.tenant_id AND r.run_id = a.run_id
        """

    private static func approval(_ row: PostgresRow) throws(PostgresError) -> ApprovalRecord {
        ApprovalRecord(
            runID: try row.decode(0), callID: try row.decode(1), agentName: try row.decode(2), tool: try row.decode(3),
            target: try row.decodeCase(4), arguments: try row.decode(5), status: try row.decodeCase(6), callHash: try row.decode(7),
            rules: try row.decode(8), requestedAt: try row.decode(9), expiresAt: try row.decode(10), decidedAt: try row.decode(11))
    }
}
