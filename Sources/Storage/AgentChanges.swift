public import Domain
public import JSON
public import Postgres

public enum PublishOutcome: Sendable {
    case created(AgentVersionRecord)
    /// An equal config was there: its version is current again.
    case existing(AgentVersionRecord)
    case labelTaken
    case agentNotFound

    var version: AgentVersionRecord? {
        switch self {
        case .created(let version), .existing(let version): version
        case .labelTaken, .agentNotFound: nil
        }
    }

    var isNew: Bool { if case .created = self { true } else { false } }
}

extension TenantChanges {
    /// Counts the tenant's agents in the creating statement, so that makers side by side never get past `limit`.
    public func insertAgent(
        _ id: AgentID, name: String, description: String?, limit: Int = Limits.maxAgentsOfTenant
    ) async throws(PostgresError) -> AgentInsertion {
        let entry = AuditEntry(.agentCreate, id) { writer in writer.field("name", string: name) }
        let parts: SQL = """
            change AS (SELECT verdict, made_at FROM hsafa.insert_agent(\(tenantID), \(id), \(name), \(description), \(Int32(limit))))
            """
        // It may wait for another maker: not in a pipeline that others share.
        let rows = try await database.query(statement(entry, with: parts, where: "verdict = 'created'"), lane: .alone)
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

    /// nil when there is no such agent; a version of another agent violates nothing and changes nothing: nil as well.
    public func updateAgent(
        _ id: AgentID, description: String??, currentVersionID: AgentVersionID?
    ) async throws(PostgresError) -> AgentRecord? {
        let entry = AuditEntry(.agentUpdate, id) { writer in
            writer.field("currentVersionId", stringIfPresent: currentVersionID?.description)
            if description != nil { writer.field("description", bool: true) }
        }
        return try await write(
            entry,
            """
            UPDATE hsafa.agents SET
                description = CASE WHEN \(description != nil) THEN \(description ?? nil)::text ELSE description END,
                current_version_id = coalesce(\(currentVersionID)::uuid, current_version_id), updated_at = now()
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL
              AND (\(currentVersionID)::uuid IS NULL OR EXISTS (
                  SELECT FROM hsafa.agent_versions v
                  WHERE v.tenant_id = \(tenantID) AND v.agent_id = \(id) AND v.version_id = \(currentVersionID)))
            RETURNING \(unsafeSQL: TenantDatabase.agentColumns)
            """
        ).first.map(TenantDatabase.agent)
    }

    public func deleteAgent(_ id: AgentID) async throws(PostgresError) -> Bool {
        let rows = try await write(
            AuditEntry(.agentDelete, id),
            """
            UPDATE hsafa.agents SET deleted_at = now()
            WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL RETURNING name
            """)
        return !rows.isEmpty
    }

    /// Adds a version, or finds the one with an equal config, and makes it current. The agent's row is locked, so that two
    /// publishers number their versions one after the other. `decisions` is what the gate said of its tools, for the audit log.
    public func publish(
        _ id: AgentID, version: String?, config: RawJSON, configHash: String, metadata: RawJSON?,
        decisions: RawJSON? = nil
    ) async throws -> PublishOutcome {
        let tenantID = tenantID
        return try await database.withTransaction { transaction in
            let agent = try await transaction.query(
                """
                SELECT 1 FROM hsafa.agents WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND deleted_at IS NULL FOR NO KEY UPDATE
                """)
            guard !agent.isEmpty else { return .agentNotFound }
            let equal = try await transaction.query(
                """
                SELECT \(unsafeSQL: TenantDatabase.versionColumns) FROM hsafa.agent_versions
                WHERE tenant_id = \(tenantID) AND agent_id = \(id) AND config_hash = \(configHash)
                """)
            let outcome: PublishOutcome
            if let row = equal.first {
                outcome = .existing(try TenantDatabase.version(row))
            } else {
                let inserted = try await transaction.query(
                    """
                    INSERT INTO hsafa.agent_versions (tenant_id, agent_id, version_id, version, config_hash, config, metadata)
                    SELECT \(tenantID), \(id), \(AgentVersionID.generate()), coalesce(\(version)::text, (
                        SELECT (coalesce(max(v.version::bigint), 0) + 1)::text FROM hsafa.agent_versions v
                        WHERE v.tenant_id = \(tenantID) AND v.agent_id = \(id) AND v.version ~ '^[0-9]{1,15}$')),
                        \(configHash), \(config.jsonb), \(metadata?.jsonb)
                    ON CONFLICT (tenant_id, agent_id, version) DO NOTHING
                    RETURNING \(unsafeSQL: TenantDatabase.versionColumns)
                    """)
                guard let row = inserted.first else { return .labelTaken }
                outcome = .created(try TenantDatabase.version(row))
            }
            guard let version = outcome.version else { return outcome }
            _ = try await transaction.query(
                """
                UPDATE hsafa.agents SET current_version_id = \(version.versionID), updated_at = now()
                WHERE tenant_id = \(tenantID) AND agent_id = \(version.agentID)
                """)
            let entry = AuditEntry(.agentVersionPublish, version.versionID) { writer in
                writer.field("agentId", string: id.description)
                writer.field("version", string: version.version)
                writer.field("configHash", string: version.configHash)
                writer.field("isNew", bool: outcome.isNew)
                writer.field("policy", rawIfPresent: decisions)
            }
            _ = try await transaction.query(insert(entry))
            return outcome
        }
    }
}
