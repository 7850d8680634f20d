public import Domain
public import Postgres

/// A key's row, found before the tenant is known.
public struct APIKeyRecord: Sendable {
    public let scope: TenantScope
    public let isTenantSuspended: Bool
    public let keyID: APIKeyID
    public let secretHash: String
    public let scopes: Set<Scope>
    public let isAdmin: Bool
    public let generation: Int32
    public let expiresAt: Timestamp?
    public let isRevoked: Bool
}

/// Look-up of credentials: one of the few roads across tenants.
public struct Credentials: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    public func apiKey(publicID: String) async throws(PostgresError) -> APIKeyRecord? {
        let rows = try await database.unscoped(
            """
            SELECT tenant_id, slug, tenant_status, key_id, secret_hash, scopes, is_admin, generation, expires_at, is_revoked
            FROM hsafa.find_api_key(\(publicID))
            """)
        guard let row = rows.first else { return nil }
        return APIKeyRecord(
            scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
            isTenantSuspended: try row.decode(2, as: String.self) != "active", keyID: try row.decode(3), secretHash: try row.decode(4),
            scopes: Set(try row.decode(5, as: [String].self).compactMap(Scope.init(rawValue:))), isAdmin: try row.decode(6),
            generation: try row.decode(7), expiresAt: try row.decode(8), isRevoked: try row.decode(9))
    }
}

/// Making the first tenant and key; runs on the machine, with the owner's connection, which sets its scope by itself.
public struct Bootstrap: Sendable {
    private let owner: PostgresClient

    public init(owner: PostgresClient) { self.owner = owner }

    /// The tenant of the platform's own admins.
    public static let platformSlug = "platform"

    public func ensureTenant(slug: String, name: String) async throws -> TenantID {
        let rows = try await owner.query("SELECT hsafa.ensure_tenant(\(TenantID.generate()), \(slug), \(name))", lane: .alone)
        guard let row = rows.first else { throw PostgresError(.decoding, "ensure_tenant gave no row") }
        return try row.decode(0)
    }

    public func insertKey(
        tenant: TenantID, publicID: String, name: String, secretHash: String, scopes: [Scope], isAdmin: Bool
    ) async throws -> APIKeyID {
        let id = APIKeyID.generate()
        _ = try await owner.query(
            """
            INSERT INTO hsafa.api_keys (tenant_id, key_id, public_id, name, secret_hash, scopes, is_admin)
            VALUES (\(tenant), \(id), \(publicID), \(name), \(secretHash), \(scopes.map(\.rawValue)), \(isAdmin))
            """, scope: tenant.description, lane: .alone)
        return id
    }
}
