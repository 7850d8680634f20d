public import Domain
public import JSON
public import Postgres

/// A call with its outcome, if it has one.
public struct ToolCallRecord: Sendable {
    public let callID: CallID
    public let runID: RunID
    public let providerCallID: String
    public let tool: String
    public let target: ToolTarget
    public let arguments: RawJSON
    public let status: CallStatus
    public let deviceID: DeviceID?
    /// The run that it started.
    public let childRunID: RunID?
    public let attempts: Int
    public let createdAt: Timestamp
    public let deadlineAt: Timestamp
    public let finishedAt: Timestamp?
    public let selector: RawJSON?
    public let result: RawJSON?
    public let error: RawJSON?
    public let source: ResultSource?
}

extension TenantDatabase {
    public func toolCalls(of run: RunID, openOnly: Bool = false) async throws(PostgresError) -> [ToolCallRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.callColumns)
            FROM hsafa.tool_calls c LEFT JOIN hsafa.tool_results o
                ON o.tenant_id = c.tenant_id AND o.run_id = c.run_id AND o.call_id = c.call_id
            WHERE c.tenant_id = \(tenantID) AND c.run_id = \(run) AND (NOT \(openOnly) OR c.finished_at IS NULL)
            ORDER BY c.created_at, c.call_id LIMIT 1000
            """
        ).mapRows(Self.call)
    }

    public func toolCall(_ call: CallID) async throws(PostgresError) -> ToolCallRecord? {
        try await query(
            """
            SELECT \(unsafeSQL: Self.callColumns)
            FROM hsafa.tool_calls c LEFT JOIN hsafa.tool_results o
                ON o.tenant_id = c.tenant_id AND o.run_id = c.run_id AND o.call_id = c.call_id
            WHERE c.tenant_id = \(tenantID) AND c.call_id = \(call)
            """
        ).first.map(Self.call)
    }

    private static let callColumns = """
        c.call_id, c.run_id, c.provider_call_id, c.tool, c.target, c.args, c.status, c.device_id, c.attempts, c.created_at,
        c.deadline_at, c.finished_at, c.device_selector, o.result, o.error, o.source, c.child_run_id
        """

    private static func call(_ row: PostgresRow) throws(PostgresError) -> ToolCallRecord {
        ToolCallRecord(
            callID: try row.decode(0), runID: try row.decode(1), providerCallID: try row.decode(2), tool: try row.decode(3),
            target: try row.decodeCase(4), arguments: try row.decode(5), status: try row.decodeCase(6), deviceID: try row.decode(7),
            childRunID: try row.decode(16), attempts: try row.decode(8), createdAt: try row.decode(9), deadlineAt: try row.decode(10),
            finishedAt: try row.decode(11),
            selector: try row.decode(12), result: try row.decode(13), error: try row.decode(14),
            source: try row.decode(15, as: String?.self).flatMap(ResultSource.init(rawValue:)))
    }
}
