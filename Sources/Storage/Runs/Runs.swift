public import Domain
public import JSON
public import Postgres

/// The projection of a run.
public struct RunRecord: Sendable {
    public let runID: RunID
    public let agentID: AgentID
    public let agentName: String
    public let versionID: AgentVersionID
    public let previousRunID: RunID?
    /// nil: no call of another run started it.
    public let parent: RunOrigin?
    public let status: RunStatus
    public let usage: TokenUsage
    public let error: ToolError?
    public let metadata: RawJSON?
    public let createdAt: Timestamp
    public let startedAt: Timestamp?
    public let finishedAt: Timestamp?
    public let deadlineAt: Timestamp
    public let lastSeq: Int64
}

/// The call that started a run.
public struct RunOrigin: Sendable {
    public let runID: RunID
    public let callID: CallID
    public let depth: Int
}

public struct RunFilter: Sendable {
    public var status: RunStatus?
    public var agentID: AgentID?
    /// Runs that calls of this one started.
    public var parentRunID: RunID?
    public var createdAfter: Timestamp?
    public var createdBefore: Timestamp?

    public init(
        status: RunStatus? = nil, agentID: AgentID? = nil, parentRunID: RunID? = nil, createdAfter: Timestamp? = nil,
        createdBefore: Timestamp? = nil
    ) {
        self.status = status
        self.agentID = agentID
        self.parentRunID = parentRunID
        self.createdAfter = createdAfter
        self.createdBefore = createdBefore
    }
}

extension TenantDatabase {
    private static let runColumns = """
        r.run_id, r.agent_id, r.agent_name, r.version_id, r.previous_run_id, r.status, r.input_tokens, r.output_tokens, r.error_code,
        r.error_message, r.metadata, r.created_at, r.started_at, r.finished_at, r.deadline_at, r.parent_run_id, r.parent_call_id, r.depth
        """

    /// The run and its `run.created`, in one statement and so in one transaction.
    public func insertRun(
        _ id: RunID, agent: AgentRecord, version: AgentVersionID, previousRunID: RunID?, metadata: RawJSON?, deadlineSeconds: Int,
        created: NewRunEvent, at time: Timestamp
    ) async throws(PostgresError) -> RunRecord {
        let rows = try await query(
            """
            WITH run AS (
                INSERT INTO hsafa.runs AS r (tenant_id, run_id, agent_id, agent_name, version_id, previous_run_id, status, metadata, deadline_at)
                VALUES (\(tenantID), \(id), \(agent.agentID), \(agent.name), \(version), \(previousRunID), 'queued', \(metadata?.jsonb),
                    now() + make_interval(secs => \(deadlineSeconds)))
                RETURNING r.created_at, r.deadline_at
            ), event AS (
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                VALUES (\(tenantID), \(id), 1, \(created.type.rawValue), \(created.data.json), \(time), 0)
            )
            SELECT created_at, deadline_at FROM run
            """)
        guard let row = rows.first else { throw PostgresError(.decoding, "the inserted run gave no row") }
        return RunRecord(
            runID: id, agentID: agent.agentID, agentName: agent.name, versionID: version, previousRunID: previousRunID, parent: nil,
            status: .queued, usage: TokenUsage(), error: nil, metadata: metadata, createdAt: try row.decode(0), startedAt: nil,
            finishedAt: nil,
            deadlineAt: try row.decode(1), lastSeq: 1)
    }

    public func run(_ id: RunID) async throws(PostgresError) -> RunRecord? {
        try await query(runStatement(id)).first.map(Self.run)
    }

    package func runStatement(_ id: RunID) -> SQL {
        // The log is asked by parameter, not by the row's id: then one partition is opened and not all of them.
        """
        SELECT \(unsafeSQL: Self.runColumns),
            coalesce((SELECT e.seq FROM hsafa.run_events e WHERE e.tenant_id = \(tenantID) AND e.run_id = \(id) ORDER BY e.seq DESC LIMIT 1), 0)
        FROM hsafa.runs r WHERE r.tenant_id = \(tenantID) AND r.run_id = \(id)
        """
    }

    /// Newest first. Run ids carry their time, so the page's key is the id, and the times of the filter bound it: an hour is more than the
    /// clocks of a replica and of Postgres may differ. No id is of a time before 1970.
    public func runs(_ filter: RunFilter, limit: Int, after: RunID?) async throws(PostgresError) -> [RunRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.runColumns),
                coalesce((SELECT max(e.seq) FROM hsafa.run_events e WHERE e.tenant_id = r.tenant_id AND e.run_id = r.run_id), 0)
            FROM hsafa.runs r
            WHERE r.tenant_id = \(tenantID)
              AND (\(after)::uuid IS NULL OR r.run_id < \(after))
              AND (\(filter.status?.rawValue)::text IS NULL OR r.status = \(filter.status?.rawValue))
              AND (\(filter.agentID)::uuid IS NULL OR r.agent_id = \(filter.agentID))
              AND (\(filter.parentRunID)::uuid IS NULL OR r.parent_run_id = \(filter.parentRunID))
              AND (\(filter.createdAfter)::timestamptz IS NULL OR r.created_at >= \(filter.createdAfter)
                AND r.run_id >= hsafa.uuid_at(greatest(\(filter.createdAfter)::timestamptz - interval '1 hour', to_timestamp(0))))
              AND (\(filter.createdBefore)::timestamptz IS NULL OR r.created_at < \(filter.createdBefore)
                AND r.run_id < hsafa.uuid_at(greatest(\(filter.createdBefore)::timestamptz + interval '1 hour', to_timestamp(0))))
            ORDER BY r.run_id DESC LIMIT \(limit)
            """, lane: .list
        ).mapRows(Self.run)
    }

    private static func run(_ row: PostgresRow) throws(PostgresError) -> RunRecord {
        let errorCode = try row.decode(8, as: String?.self)
        var parent: RunOrigin?
        if let runID = try row.decode(15, as: RunID?.self), let callID = try row.decode(16, as: CallID?.self) {
            parent = RunOrigin(runID: runID, callID: callID, depth: Int(try row.decode(17, as: Int16.self)))
        }
        return RunRecord(
            runID: try row.decode(0), agentID: try row.decode(1), agentName: try row.decode(2), versionID: try row.decode(3),
            previousRunID: try row.decode(4), parent: parent, status: try row.decodeCase(5),
            usage: TokenUsage(inputTokens: try row.decode(6), outputTokens: try row.decode(7)),
            error: errorCode == nil ? nil : ToolError(code: errorCode ?? "", message: try row.decode(9, as: String?.self) ?? ""),
            metadata: try row.decode(10), createdAt: try row.decode(11), startedAt: try row.decode(12), finishedAt: try row.decode(13),
            deadlineAt: try row.decode(14), lastSeq: try row.decode(18))
    }
}
