public import Domain
public import Postgres

/// A key as lists show it: everything but its hashes.
public struct APIKeyListing: Sendable {
    public enum Status: String, Sendable {
        case active, expired, revoked
    }

    public let keyID: APIKeyID
    /// The part of the key's text that is no secret.
    public let publicID: String
    public let name: String
    /// What this gateway knows of them; a scope of a later version is left out.
    public let scopes: [Scope]
    public let isAdmin: Bool
    public let generation: Int32
    public let createdAt: Timestamp
    public let expiresAt: Timestamp?
    public let revokedAt: Timestamp?
    public let lastUsedAt: Timestamp?
    public let rotatedAt: Timestamp?
    /// Until when the secret before the last rotation is good as well; nil when it is over.
    public let previousExpiresAt: Timestamp?

    public func status(at now: Timestamp = .now()) -> Status {
        if revokedAt != nil { return .revoked }
        return expiresAt.map { $0 <= now } ?? false ? .expired : .active
    }
}

extension TenantDatabase {
    static let keyColumns = """
        key_id, public_id, name, scopes, is_admin, generation, created_at, expires_at, revoked_at, last_used_at, rotated_at,
        CASE WHEN previous_expires_at > now() THEN previous_expires_at END
        """

    /// Newest first, revoked ones included.
    public func apiKeys(limit: Int, after: APIKeyID?) async throws(PostgresError) -> [APIKeyListing] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.keyColumns) FROM hsafa.api_keys
            WHERE tenant_id = \(tenantID) AND (\(after)::uuid IS NULL OR key_id < \(after))
            ORDER BY key_id DESC LIMIT \(limit)
            """, lane: .list
        ).mapRows(Self.key)
    }

    public func apiKey(_ id: APIKeyID) async throws(PostgresError) -> APIKeyListing? {
        try await query(
            "SELECT \(unsafeSQL: Self.keyColumns) FROM hsafa.api_keys WHERE tenant_id = \(tenantID) AND key_id = \(id)"
        ).first.map(Self.key)
    }

    /// Those not revoked.
    public func apiKeyCount() async throws(PostgresError) -> Int {
        let rows = try await query("SELECT count(*) FROM hsafa.api_keys WHERE tenant_id = \(tenantID) AND revoked_at IS NULL")
        return try rows.first?.decode(0, as: Int.self) ?? 0
    }

    /// The same secret under another hash. false when it is another secret by now: a rotation came first, and stands.
    public func rehash(_ id: APIKeyID, from old: String, to new: String) async throws(PostgresError) -> Bool {
        try await query(
            """
            UPDATE hsafa.api_keys SET
                secret_hash = CASE WHEN secret_hash = \(old) THEN \(new) ELSE secret_hash END,
                previous_secret_hash = CASE WHEN previous_secret_hash = \(old) THEN \(new) ELSE previous_secret_hash END
            WHERE tenant_id = \(tenantID) AND key_id = \(id) AND NOT is_admin
              AND (secret_hash = \(old) OR previous_secret_hash = \(old))
            """
        ).affected == 1
    }

    static func key(_ row: PostgresRow) throws(PostgresError) -> APIKeyListing {
        APIKeyListing(
            keyID: try row.decode(0), publicID: try row.decode(1), name: try row.decode(2),
            scopes: try row.decode(3, as: [String].self).compactMap(Scope.init(rawValue:)), isAdmin: try row.decode(4),
            generation: try row.decode(5), createdAt: try row.decode(6), expiresAt: try row.decode(7), revokedAt: try row.decode(8),
            lastUsedAt: try row.decode(9), rotatedAt: try row.decode(10), previousExpiresAt: try row.decode(11))
    }
}
