public import Domain
import JSON
public import Postgres

public struct TenantRecord: Sendable {
    public enum Status: String, Sendable, CaseIterable {
        case active, suspended
    }

    public let tenantID: TenantID
    public let slug: String
    public let name: String
    public let status: Status
    public let generation: Int32
    public let createdAt: Timestamp
    /// Of the gateway's defaults.
    public let limits: TenantLimitOverrides

    /// An admin looked the tenant up: what follows is done in it.
    public var scope: TenantScope { TenantScope(tenantID: tenantID, slug: slug) }
}

/// All tenants, for the platform's admins. Each function asks the database again whether `admin` is a good key of one.
public struct TenantDirectory: Sendable {
    /// The platform's own tenant, whose key the admin has.
    private let platform: TenantDatabase
    private let admin: APIKeyID
    private let author: ChangeAuthor

    public init(_ platform: TenantDatabase, admin: APIKeyID, author: ChangeAuthor) {
        self.platform = platform
        self.admin = admin
        self.author = author
    }

    private static let columns = "tenant_id, slug, name, status, generation, created_at, limits"

    /// nil when the slug is taken.
    public func create(_ id: TenantID, slug: String, name: String) async throws(PostgresError) -> TenantRecord? {
        let entry = AuditEntry(.tenantCreate, id) { writer in
            writer.field("slug", string: slug)
            writer.field("name", string: name)
        }
        return try await write(
            entry, in: id, "SELECT \(unsafeSQL: Self.columns) FROM hsafa.create_tenant(\(admin), \(id), \(slug), \(name))"
        ).first.map(Self.tenant)
    }

    /// Newest first.
    public func tenants(
        status: TenantRecord.Status?, limit: Int, after: TenantID?
    ) async throws(PostgresError) -> [TenantRecord] {
        try await platform.query(
            """
            SELECT \(unsafeSQL: Self.columns)
            FROM hsafa.list_tenants(\(admin), \(TenantID?.none), \(status?.rawValue), \(after), \(Int32(limit)))
            """, lane: .list
        ).mapRows(Self.tenant)
    }

    public func tenant(_ id: TenantID) async throws(PostgresError) -> TenantRecord? {
        try await platform.query(
            """
            SELECT \(unsafeSQL: Self.columns)
            FROM hsafa.list_tenants(\(admin), \(id), \(String?.none), \(TenantID?.none), 1::integer)
            """
        ).first.map(Self.tenant)
    }

    /// nil when nothing changed. Patches of several admins merge.
    public func update(_ id: TenantID, name: String?, limits: TenantLimitPatch?) async throws(PostgresError) -> TenantRecord? {
        let entry = AuditEntry(.tenantUpdate, id) { writer in
            writer.field("name", stringIfPresent: name)
            if let limits { writer.field("limits", raw: limits.json) }
        }
        return try await write(
            entry, in: id,
            "SELECT \(unsafeSQL: Self.columns) FROM hsafa.update_tenant(\(admin), \(id), \(name), \(limits?.json.jsonb))"
        ).first.map(Self.tenant)
    }

    /// nil when it was so already, or it is the platform's own.
    public func setStatus(
        _ id: TenantID, _ status: TenantRecord.Status, reason: String?
    ) async throws(PostgresError) -> TenantRecord? {
        let entry = AuditEntry(status == .suspended ? .tenantSuspend : .tenantResume, id) { writer in
            writer.field("reason", stringIfPresent: reason)
        }
        return try await write(
            entry, in: id, "SELECT \(unsafeSQL: Self.columns) FROM hsafa.set_tenant_status(\(admin), \(id), \(status.rawValue))"
        ).first.map(Self.tenant)
    }

    /// Over all tenants, or one of them; newest first.
    public func audit(
        tenant: TenantID?, _ filter: AuditFilter, limit: Int, after: AuditCursor?
    ) async throws(PostgresError) -> [AuditRecord] {
        try await platform.query(
            """
            SELECT tenant_id, audit_id, at, actor_kind, actor_id, action, target_kind, target_id, address, request_id, details
            FROM hsafa.list_audit(\(admin), \(tenant), \(filter.action), \(filter.actorID), \(filter.targetID), \(filter.from),
                \(filter.to), \(after?.at), \(after?.auditID), \(Int32(limit)))
            """, lane: .list
        ).mapRows(AuditRecord.init)
    }

    /// Rows of the audit log stand in the tenant that was changed.
    private func write(_ entry: AuditEntry, in id: TenantID, _ change: SQL) async throws(PostgresError) -> PostgresRows {
        try await platform.visiting(TenantScope(tenantID: id, slug: "")) { tenant throws(PostgresError) in
            try await tenant.changes(by: author).write(entry, change)
        }
    }

    private static func tenant(_ row: PostgresRow) throws(PostgresError) -> TenantRecord {
        TenantRecord(
            tenantID: try row.decode(0), slug: try row.decode(1), name: try row.decode(2), status: try row.decodeCase(3),
            generation: try row.decode(4), createdAt: try row.decode(5), limits: TenantLimitOverrides(stored: try row.decode(6)))
    }
}
