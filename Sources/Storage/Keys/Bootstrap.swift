public import Domain
import JSON
public import Postgres

/// Tenants and keys made on the machine, with the owner's connection, which sets its scope by itself: the only way to a key of the
/// platform's admins.
public struct Bootstrap: Sendable {
    let owner: PostgresClient
    let author: ChangeAuthor

    public init(owner: PostgresClient, author: ChangeAuthor = ChangeAuthor(kind: .operator, id: "unknown")) {
        self.owner = owner
        self.author = author
    }

    /// The tenant of the platform's own admins.
    public static let platformSlug = "platform"

    /// Made when there is none of this slug.
    public func ensureTenant(slug: String, name: String) async throws -> TenantID {
        let id = TenantID.generate()
        let rows = try await owner.query("SELECT hsafa.ensure_tenant(\(id), \(slug), \(name))", lane: .alone)
        guard let row = rows.first else { throw PostgresError(.decoding, "ensure_tenant gave no row") }
        let tenant: TenantID = try row.decode(0)
        if tenant == id {
            let changes = changes(of: TenantScope(tenantID: id, slug: slug))
            let entry = AuditEntry(.tenantCreate, id) { writer in writer.field("slug", string: slug) }
            _ = try await owner.query(changes.insert(entry), scope: id.description, lane: .alone)
        }
        return tenant
    }

    public func tenant(slug: String) async throws -> TenantScope? {
        let rows = try await owner.query("SELECT hsafa.find_tenant(\(slug))", lane: .alone)
        guard let id = try rows.first?.decode(0, as: TenantID?.self) else { return nil }
        return TenantScope(tenantID: id, slug: slug)
    }

    /// The owner's connection is bound by row-level security as the application's is.
    public func changes(of scope: TenantScope) -> TenantChanges { Database(client: owner).tenant(scope).changes(by: author) }

    public func insertKey(
        tenant: TenantID, publicID: String, name: String, secretHash: String, scopes: [Scope], isAdmin: Bool,
        expiresAt: Timestamp? = nil
    ) async throws -> APIKeyID {
        let id = APIKeyID.generate()
        let entry = AuditEntry(.keyCreate, id) { writer in
            writer.field("name", string: name)
            writer.field("scopes", raw: .array { list in for scope in scopes { list.string(scope.rawValue) } })
            writer.field("expiresAt", stringIfPresent: expiresAt?.description)
            if isAdmin { writer.field("admin", bool: true) }
        }
        _ = try await changes(of: TenantScope(tenantID: tenant, slug: "")).write(
            entry,
            """
            INSERT INTO hsafa.api_keys (tenant_id, key_id, public_id, name, secret_hash, scopes, is_admin, expires_at)
            VALUES (\(tenant), \(id), \(publicID), \(name), \(secretHash), \(scopes.map(\.rawValue)), \(isAdmin), \(expiresAt))
            RETURNING key_id
            """)
        return id
    }
}
