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

extension TenantDatabase {
    static let agentColumns = "agent_id, name, description, current_version_id, created_at, updated_at"
    static let versionColumns = "version_id, agent_id, version, config_hash, config, metadata, created_at"
    /// A page of versions has no configs: each may be half a megabyte.
    private static let versionColumnsOfLists = "version_id, agent_id, version, config_hash, '{}'::jsonb, metadata, created_at"

    public func agents(limit: Int, after: AgentID?) async throws(PostgresError) -> [AgentRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.agentColumns) FROM hsafa.agents
            WHERE tenant_id = \(tenantID) AND deleted_at IS NULL AND (\(after)::uuid IS NULL OR agent_id < \(after))
            ORDER BY agent_id DESC LIMIT \(limit)
            """, lane: .list
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

    public func versions(of id: AgentID, limit: Int, after: AgentVersionID?) async throws(PostgresError) -> [AgentVersionRecord] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.versionColumnsOfLists) FROM hsafa.agent_versions
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND (\(after)::uuid IS NULL OR version_id < \(after))
            ORDER BY version_id DESC LIMIT \(limit)
            """, lane: .list
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

    static func agent(_ row: PostgresRow) throws(PostgresError) -> AgentRecord {
        AgentRecord(
            agentID: try row.decode(0), name: try row.decode(1), description: try row.decode(2), currentVersionID: try row.decode(3),
            createdAt: try row.decode(4), updatedAt: try row.decode(5))
    }

    static func version(_ row: PostgresRow) throws(PostgresError) -> AgentVersionRecord {
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
