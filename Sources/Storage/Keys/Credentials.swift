public import Domain
public import Postgres

/// A key's row, found before the tenant is known.
public struct APIKeyRecord: Sendable {
    public let scope: TenantScope
    public let isTenantSuspended: Bool
    public let tenantGeneration: Int32
    public let keyID: APIKeyID
    /// Of the secret that was looked for: after a rotation the older one has its own.
    public let secretHash: String
    public let scopes: Set<Scope>
    public let isAdmin: Bool
    public let generation: Int32
    public let expiresAt: Timestamp?
    public let isRevoked: Bool
}

/// When a key was last used.
public struct KeyUse: Sendable {
    public let tenantID: TenantID
    public let keyID: APIKeyID
    public let at: Timestamp

    public init(tenantID: TenantID, keyID: APIKeyID, at: Timestamp) {
        self.tenantID = tenantID
        self.keyID = keyID
        self.at = at
    }
}

/// Look-up of credentials: one of the few roads across tenants.
public struct Credentials: Sendable {
    let database: Database

    public init(_ database: Database) { self.database = database }

    public func apiKey(publicID: String) async throws(PostgresError) -> APIKeyRecord? {
        let rows = try await database.unscoped(
            """
            SELECT tenant_id, slug, tenant_status, key_id, secret_hash, scopes, is_admin, generation, expires_at, is_revoked,
                tenant_generation
            FROM hsafa.find_api_key(\(publicID))
            """)
        guard let row = rows.first else { return nil }
        return APIKeyRecord(
            scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
            isTenantSuspended: try row.decode(2, as: String.self) != "active", tenantGeneration: try row.decode(10),
            keyID: try row.decode(3), secretHash: try row.decode(4),
            scopes: Set(try row.decode(5, as: [String].self).compactMap(Scope.init(rawValue:))), isAdmin: try row.decode(6),
            generation: try row.decode(7), expiresAt: try row.decode(8), isRevoked: try row.decode(9))
    }

    public func rehash(_ key: APIKeyRecord, to new: String) async throws(PostgresError) -> Bool {
        try await database.tenant(key.scope).rehash(key.keyID, from: key.secretHash, to: new)
    }

    /// One statement for all, of whatever tenants.
    public func note(_ uses: [KeyUse]) async throws(PostgresError) {
        guard !uses.isEmpty else { return }
        _ = try await database.unscoped(
            "SELECT hsafa.note_keys_used(\(uses.map(\.tenantID)), \(uses.map(\.keyID)), \(uses.map(\.at)))", lane: .alone)
    }
}
