public import Domain
public import JSON
public import Postgres

/// One policy of a tenant's own layer.
public struct TenantPolicyRecord: Sendable {
    public let name: String
    public let document: RawJSON
    public let hash: String
    public let revision: Int
    public let createdAt: Timestamp
    public let updatedAt: Timestamp

    package init(name: String, document: RawJSON, hash: String, revision: Int, createdAt: Timestamp, updatedAt: Timestamp) {
        self.name = name
        self.document = document
        self.hash = hash
        self.revision = revision
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

extension TenantDatabase {
    /// In the order of their names; their number is bounded.
    public func policies() async throws(PostgresError) -> [TenantPolicyRecord] {
        try await query(
            """
            SELECT name, document, hash, revision, created_at, updated_at FROM hsafa.tenant_policies
            WHERE tenant_id = \(tenantID) ORDER BY name
            """
        ).mapRows(Self.policy)
    }

    /// What changes when any of them does; nil where there is none. Costs no document.
    public func policyFingerprint() async throws(PostgresError) -> String? {
        try await query(
            """
            SELECT string_agg(name || ' ' || hash || ' ' || revision, ',' ORDER BY name) FROM hsafa.tenant_policies
            WHERE tenant_id = \(tenantID)
            """
        ).first?.decode(0)
    }

    fileprivate static func policy(_ row: PostgresRow) throws(PostgresError) -> TenantPolicyRecord {
        TenantPolicyRecord(
            name: try row.decode(0), document: try row.decode(1), hash: try row.decode(2), revision: try row.decode(3, as: Int.self),
            createdAt: try row.decode(4), updatedAt: try row.decode(5))
    }
}

extension TenantChanges {
    /// Writes a policy under its name. `check` is given the others, under a lock, so that writers side by side stay within the bounds
    /// together; what it throws leaves everything as it was. An equal document changes nothing.
    public func putPolicy(
        _ name: String, document: RawJSON, hash: String, check: @Sendable ([TenantPolicyRecord]) throws -> Void
    ) async throws -> (record: TenantPolicyRecord, isNew: Bool) {
        let author = author
        return try await database.inTransaction { tenant in
            let changes = tenant.changes(by: author)
            _ = try await tenant.query(
                "SELECT pg_advisory_xact_lock(hashtextextended('policies of tenant ' || \(tenant.tenantID.description), 0))")
            let all = try await tenant.policies()
            let known = all.first { $0.name == name }
            if let known, known.hash == hash { return (known, false) }
            try check(all.filter { $0.name != name })
            let entry = AuditEntry(
                .policyPut, named: name,
                details: .object { writer in
                    writer.field("hash", string: hash)
                    writer.field("revision", int: (known?.revision ?? 0) + 1)
                })
            let row = try await changes.write(
                entry,
                """
                INSERT INTO hsafa.tenant_policies AS p (tenant_id, name, document, hash)
                VALUES (\(tenant.tenantID), \(name), \(document.json), \(hash))
                ON CONFLICT (tenant_id, name) DO UPDATE SET
                    document = excluded.document, hash = excluded.hash, revision = p.revision + 1, updated_at = now()
                RETURNING name, document, hash, revision, created_at, updated_at
                """
            ).first
            guard let row else { throw PostgresError(.decoding, "the policy gave no row") }
            return (try TenantDatabase.policy(row), known == nil)
        }
    }

    /// False: there is none of this name.
    public func deletePolicy(_ name: String) async throws(PostgresError) -> Bool {
        let rows = try await write(
            AuditEntry(.policyDelete, named: name),
            "DELETE FROM hsafa.tenant_policies WHERE tenant_id = \(tenantID) AND name = \(name) RETURNING name")
        return !rows.isEmpty
    }

    /// A row of the audit log for what came to nothing but should be known.
    public func note(_ entry: AuditEntry) async throws(PostgresError) { _ = try await database.query(insert(entry), lane: .alone) }
}
