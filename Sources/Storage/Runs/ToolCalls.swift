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
    /// What became of posting it to its system, once an attempt has failed.
    public let delivery: FailedDelivery?

    public struct FailedDelivery: Sendable, Hashable {
        public let attempts: Int
        /// A sentence, without secrets.
        public let lastError: String
        /// nil while an attempt is under way, and when there will be none.
        public let nextAttemptAt: Timestamp?
    }
}

extension TenantDatabase {
    /// Calls that wait for their outcome, and not for a person: at most those of one step.
    public func pendingToolCalls(of run: RunID) async throws(PostgresError) -> [ToolCallRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.callColumns)
            FROM hsafa.tool_calls c \(unsafeSQL: Self.callJoins)
            WHERE c.tenant_id = \(tenantID) AND c.run_id = \(run) AND c.finished_at IS NULL
                AND c.status <> 'awaiting_approval'
            ORDER BY c.created_at, c.call_id LIMIT \(Limits.maxToolCallsPerStep)
            """
        ).mapRows(Self.call)
    }

    /// A page of a run's calls, oldest first: of `limit` as many as hold `maxBytes` of arguments and results together, and one at least.
    public func toolCallPage(
        of run: RunID, limit: Int, after: CallID?, maxBytes: Int = Limits.maxToolCallsPageBytes
    ) async throws(PostgresError) -> Page<ToolCallRecord> {
        let rows = try await query(
            """
            SELECT * FROM (
                SELECT \(unsafeSQL: Self.callColumns), count(*) OVER () AS found, row_number() OVER calls AS position,
                    sum(octet_length(c.args::text) + coalesce(octet_length(o.result::text), 0)) OVER calls AS bytes
                FROM (
                    SELECT t.* FROM hsafa.tool_calls t
                    WHERE t.tenant_id = \(tenantID) AND t.run_id = \(run)
                      AND (\(after)::uuid IS NULL OR (t.created_at, t.call_id) > (
                        SELECT l.created_at, l.call_id FROM hsafa.tool_calls l
                        WHERE l.tenant_id = \(tenantID) AND l.run_id = \(run) AND l.call_id = \(after)))
                    ORDER BY t.created_at, t.call_id LIMIT \(limit + 1)
                ) c \(unsafeSQL: Self.callJoins)
                WINDOW calls AS (ORDER BY c.created_at, c.call_id)
            ) page
            WHERE position = 1 OR (position <= \(limit) AND bytes <= \(maxBytes))
            ORDER BY position
            """, lane: .list)
        let calls = try rows.mapRows(Self.call)
        let found = try rows.first?.decode(20, as: Int.self) ?? 0
        return Page(items: calls, next: found > calls.count ? calls.last?.callID.description : nil)
    }

    public func toolCall(_ call: CallID) async throws(PostgresError) -> ToolCallRecord? {
        try await query(
            """
            SELECT \(unsafeSQL: Self.callColumns)
            FROM hsafa.tool_calls c \(unsafeSQL: Self.callJoins)
            WHERE c.tenant_id = \(tenantID) AND c.call_id = \(call)
            """
        ).first.map(Self.call)
    }

    private static let callColumns = """
        c.call_id, c.run_id, c.provider_call_id, c.tool, c.target, c.args, c.status, c.device_id, c.attempts, c.created_at,
        c.deadline_at, c.finished_at, c.device_selector, o.result, o.error, o.source, c.child_run_id,
        c.failed_attempts, c.delivery_error,
        CASE WHEN s.attempts = c.failed_attempts AND s.due_at <> 'infinity' THEN s.due_at END AS next_attempt_at
        """

    /// A row of what is due that was taken once more than attempts failed is being tried at this moment.
    private static let callJoins = """
        LEFT JOIN hsafa.tool_results o ON o.tenant_id = c.tenant_id AND o.run_id = c.run_id AND o.call_id = c.call_id
        LEFT JOIN hsafa.scheduled_calls s
            ON s.tenant_id = c.tenant_id AND s.run_id = c.run_id AND s.call_id = c.call_id AND c.failed_attempts IS NOT NULL
        """

    private static func call(_ row: PostgresRow) throws(PostgresError) -> ToolCallRecord {
        ToolCallRecord(
            callID: try row.decode(0), runID: try row.decode(1), providerCallID: try row.decode(2), tool: try row.decode(3),
            target: try row.decodeCase(4), arguments: try row.decode(5), status: try row.decodeCase(6), deviceID: try row.decode(7),
            childRunID: try row.decode(16), attempts: try row.decode(8), createdAt: try row.decode(9), deadlineAt: try row.decode(10),
            finishedAt: try row.decode(11),
            selector: try row.decode(12), result: try row.decode(13), error: try row.decode(14),
            source: try row.decode(15, as: String?.self).flatMap(ResultSource.init(rawValue:)), delivery: try delivery(row))
    }

    private static func delivery(_ row: PostgresRow) throws(PostgresError) -> ToolCallRecord.FailedDelivery? {
        guard let attempts = try row.decode(17, as: Int?.self), let error = try row.decode(18, as: String?.self) else { return nil }
        return ToolCallRecord.FailedDelivery(attempts: attempts, lastError: error, nextAttemptAt: try row.decode(19))
    }
}
