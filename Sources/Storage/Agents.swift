public import Domain
public import JSON
public import Postgres

public struct AgentRecord: Sendable {
    public let agentID: AgentID
    public let name: String
    public let description: String?
    public let currentVersionID: AgentVersionID?
    public let createdAt: Timestamp
    public let updatedAt: Timestamp
}

public struct AgentVersionRecord: Sendable {
    public let versionID: AgentVersionID
    public let agentID: AgentID
    public let version: String
    public let configHash: String
    public let config: RawJSON
    public let metadata: RawJSON?
    public let createdAt: Timestamp
}

public enum AgentInsertion: Sendable {
    case created(AgentRecord)
    case nameTaken
    case limitReached

    public var record: AgentRecord? { if case .created(let record) = self { record } else { nil } }
}

public enum PublishOutcome: Sendable {
    case created(AgentVersionRecord)
    /// An equal config was there: its version is current again.
    case existing(AgentVersionRecord)
    case labelTaken
    case agentNotFound
}

extension TenantDatabase {
    private static let agentColumns = "agent_id, name, description, current_version_id, created_at, updated_at"
    private static let versionColumns = "version_id, agent_id, version, config_hash, config, metadata, created_at"

    /// Counts the tenant's agents in the creating statement, so that makers side by side never get past `limit`.
    public func insertAgent(
        _ id: AgentID, name: String, description: String?, limit: Int = Limits.maxAgentsOfTenant
    ) async throws(PostgresError) -> AgentInsertion {
        let rows = try await query(
            "SELECT verdict, made_at FROM hsafa.insert_agent(\(tenantID), \(id), \(name), \(description), \(Int32(limit)))",
            // It may wait for another maker: not in a pipeline that others share.
            lane: .alone)
        guard let row = rows.first else { throw PostgresError(.decoding, "insert_agent gave no row") }
        switch try row.decode(0, as: String.self) {
        case "created":
            let madeAt = try row.decode(1, as: Timestamp.self)
            return .created(
                AgentRecord(
                    agentID: id, name: name, description: description, currentVersionID: nil, createdAt: madeAt, updatedAt: madeAt))
        case "limit_reached": return .limitReached
        default: return .nameTaken
        }
    }

    public func agents(limit: Int, after: AgentID?) async throws(PostgresError) -> [AgentRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.agentColumns) FROM hsafa.agents
            WHERE tenant_id = \(tenantID) AND deleted_at IS NULL AND (\(after)::uuid IS NULL OR agent_id < \(after))
            ORDER BY agent_id DESC LIMIT \(limit)
            """
        ).mapRows(Self.agent)
    }

    public func agent(_ id: AgentID) async throws(PostgresError) -> AgentRecord? {
        try await query(
            """
            SELECT \(unsafeSQL: Self.agentColumns) FROM hsafa.agents
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL
            """
        ).first.map(Self.agent)
    }

    public func agent(named name: String) async throws(PostgresError) -> AgentRecord? {
        try await query(
            """
            SELECT \(unsafeSQL: Self.agentColumns) FROM hsafa.agents
            WHERE tenant_id = \(tenantID) AND name = \(name) AND deleted_at IS NULL
            """
        ).first.map(Self.agent)
    }

    /// nil when there is no such agent; a version of another agent violates nothing and changes nothing: nil as well.
    public func updateAgent(
        _ id: AgentID, description: String??, currentVersionID: AgentVersionID?
    ) async throws(PostgresError) -> AgentRecord? {
        try await query(
            """
            UPDATE hsafa.agents SET
                description = CASE WHEN \(description != nil) THEN \(description ?? nil)::text ELSE description END,
                current_version_id = coalesce(\(currentVersionID)::uuid, current_version_id), updated_at = now()
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL
              AND (\(currentVersionID)::uuid IS NULL OR EXISTS (
                  SELECT FROM hsafa.agent_versions v
                  WHERE v.tenant_id = \(tenantID) AND v.agent_id = \(id) AND v.version_id = \(currentVersionID)))
            RETURNING \(unsafeSQL: Self.agentColumns)
            """
        ).first.map(Self.agent)
    }

    public func deleteAgent(_ id: AgentID) async throws(PostgresError) -> Bool {
        try await query(
            """
            UPDATE hsafa.agents SET deleted_at = now()
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL
            """
        ).affected == 1
    }

    /// Adds a version, or finds the one with an equal config, and makes it current. The agent's row is locked, so that two
    /// publishers number their versions one after the other.
    public func publish(
        _ id: AgentID, version: String?, config: RawJSON, configHash: String, metadata: RawJSON?
    ) async throws -> PublishOutcome {
        let tenantID = tenantID
        return try await withTransaction { transaction in
            let agent = try await transaction.query(
                """
                SELECT 1 FROM hsafa.agents WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL FOR NO KEY UPDATE
                """)
            guard !agent.isEmpty else { return .agentNotFound }
            let equal = try await transaction.query(
                """
                SELECT \(unsafeSQL: Self.versionColumns) FROM hsafa.agent_versions
                WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND config_hash = \(configHash)
                """)
            let outcome: PublishOutcome
            if let row = equal.first {
                outcome = .existing(try Self.version(row))
            } else {
                let inserted = try await transaction.query(
                    """
                    INSERT INTO hsafa.agent_versions (tenant_id, agent_id, version_id, version, config_hash, config, metadata)
                    SELECT \(tenantID), \(id), \(AgentVersionID.generate()), coalesce(\(version)::text, (
                        SELECT (coalesce(max(v.version::bigint), 0) + 1)::text FROM hsafa.agent_versions v
                        WHERE v.tenant_id = \(tenantID) AND v.agent_id = \(id) AND v.version ~ '^[0-9]{1,15}$')),
                        \(configHash), \(config.jsonb), \(metadata?.jsonb)
                    ON CONFLICT (tenant_id, agent_id, version) DO NOTHING
                    RETURNING \(unsafeSQL: Self.versionColumns)
                    """)
                guard let row = inserted.first else { return .labelTaken }
                outcome = .created(try Self.version(row))
            }
            guard case .created(let record) = outcome else {
                if case .existing(let record) = outcome { try await Self.makeCurrent(record, tenantID, transaction) }
                return outcome
            }
            try await Self.makeCurrent(record, tenantID, transaction)
            return outcome
        }
    }

    private static func makeCurrent(_ version: AgentVersionRecord, _ tenantID: TenantID, _ transaction: PostgresTransaction) async throws {
        _ = try await transaction.query(
            """
            UPDATE hsafa.agents SET current_version_id = \(version.versionID), updated_at = now()
            WHERE tenant_id = \(tenantID) AND agent_id = \(version.agentID)
            """)
    }

    public func versions(of id: AgentID, limit: Int, after: AgentVersionID?) async throws(PostgresError) -> [AgentVersionRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.versionColumns) FROM hsafa.agent_versions
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND (\(after)::uuid IS NULL OR version_id < \(after))
            ORDER BY version_id DESC LIMIT \(limit)
            """
        ).mapRows(Self.version)
    }

    /// `agentID` nil: whichever agent it belongs to.
    public func version(_ id: AgentVersionID, of agentID: AgentID? = nil) async throws(PostgresError) -> AgentVersionRecord? {
        try await query(
            """
            SELECT \(unsafeSQL: Self.versionColumns) FROM hsafa.agent_versions
            WHERE tenant_id = \(tenantID) AND version_id = \(id) AND (\(agentID)::uuid IS NULL OR agent_id = \(agentID))
            """
        ).first.map(Self.version)
    }

    private static func agent(_ row: PostgresRow) throws(PostgresError) -> AgentRecord {
        AgentRecord(
            agentID: try row.decode(0), name: try row.decode(1), description: try row.decode(2), currentVersionID: try row.decode(3),
            createdAt: try row.decode(4), updatedAt: try row.decode(5))
    }

    private static func version(_ row: PostgresRow) throws(PostgresError) -> AgentVersionRecord {
        AgentVersionRecord(
            versionID: try row.decode(0), agentID: try row.decode(1), version: try row.decode(2), configHash: try row.decode(3),
            config: try row.decode(4), metadata: try row.decode(5), createdAt: try row.decode(6))
    }
}

extension PostgresRows {
    package func mapRows<Value>(_ transform: (PostgresRow) throws(PostgresError) -> Value) throws(PostgresError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(count)
        for row in self { values.append(try transform(row)) }
        return values
    }
}
