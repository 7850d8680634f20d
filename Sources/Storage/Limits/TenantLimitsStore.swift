public import Domain
import JSON
public import Postgres
public import Redis

extension TenantDatabase {
    /// The tenant's overrides; nil when the tenant is gone.
    public func limitOverrides() async throws(PostgresError) -> TenantLimitOverrides? {
        guard let row = try await query("SELECT limits FROM hsafa.tenants WHERE tenant_id = \(tenantID)").first else { return nil }
        return TenantLimitOverrides(stored: try row.decode(0))
    }
}

/// Changing the limits of any tenant on the machine, with the owner's connection; admins do it through `TenantDirectory`.
public struct TenantLimitsStore: Sendable {
    private let client: PostgresClient
    private let author: ChangeAuthor

    public init(owner: PostgresClient, author: ChangeAuthor = ChangeAuthor(kind: .operator, id: "unknown")) {
        client = owner
        self.author = author
    }

    /// The overrides as they are now; nil when there is no such tenant. Patches of several admins merge.
    public func apply(_ patch: TenantLimitPatch, to tenant: TenantID) async throws(PostgresError) -> TenantLimitOverrides? {
        let entry = AuditEntry(.tenantUpdate, tenant) { writer in writer.field("limits", raw: patch.json) }
        let changes = Database(client: client).tenant(TenantScope(tenantID: tenant, slug: "")).changes(by: author)
        return try await changes.write(
            entry,
            """
            SELECT changed.limits FROM hsafa.set_tenant_limits(\(tenant), \(patch.json.jsonb)) AS changed (limits)
            WHERE changed.limits IS NOT NULL
            """
        ).first.map { row throws(PostgresError) in TenantLimitOverrides(stored: try row.decode(0)) }
    }

    /// For the owner alone.
    public func find(slug: String) async throws(PostgresError) -> (tenantID: TenantID, overrides: TenantLimitOverrides)? {
        guard
            let row = try await client.query("SELECT tenant_id, limits FROM hsafa.tenant_limits_by_slug(\(slug))", scope: nil, lane: .alone)
                .first
        else { return nil }
        return (try row.decode(0), TenantLimitOverrides(stored: try row.decode(1)))
    }
}

/// Tells every replica that a tenant's row was changed. Behind it stands the age at which limits are read again.
public struct TenantNotices: Sendable {
    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    public func publish(_ tenant: TenantID) { redis.post([RedisCommand("PUBLISH", RedisKeys.tenantsChanged, tenant.description)]) }
}
