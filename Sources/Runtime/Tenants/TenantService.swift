public import Domain
import JSON
import Postgres
public import Storage

/// A principal that was found to be an admin of the platform: what every operation over all tenants asks for.
public struct AdminIdentity: Sendable {
    public let principal: Principal
    public let author: ChangeAuthor

    /// 403 for everybody else.
    public init(_ principal: Principal, author: ChangeAuthor) throws(GatewayError) {
        try principal.requireAdmin()
        self.principal = principal
        self.author = author
    }
}

/// All tenants, for the platform's admins.
public struct TenantService: Sendable {
    private let database: Database
    private let watch: AccessWatch
    private let notices: TenantNotices

    init(database: Database, watch: AccessWatch, notices: TenantNotices) {
        self.database = database
        self.watch = watch
        self.notices = notices
    }

    /// - Parameter platform: the platform's own rows, where they are part of a transaction.
    private func directory<R>(
        _ admin: AdminIdentity, in platform: TenantDatabase? = nil, _ body: (TenantDirectory) async throws -> R
    ) async throws -> R {
        do {
            let platform = platform ?? database.tenant(admin.principal.scope)
            return try await body(TenantDirectory(platform, admin: admin.principal.keyID, author: admin.author))
        } catch let error as PostgresError where error.sqlState == "HS403" {
            // The key was revoked, or expired, since this request was let in.
            throw GatewayError.unauthorized
        }
    }

    /// 409 when the slug is taken; it is for life.
    public func create(
        _ admin: AdminIdentity, slug: String, name: String, in platform: TenantDatabase
    ) async throws -> TenantRecord {
        guard Slug.isValid(slug) else {
            let rule = "must be 1 to 63 lower case letters, digits and dashes, with no dash at its ends"
            throw GatewayError.invalidBody(JSONViolation(pointer: "/slug", message: rule))
        }
        return try await directory(admin, in: platform) { directory in
            guard let tenant = try await directory.create(.generate(), slug: slug, name: name) else {
                throw GatewayError.conflict("tenant_exists", "A tenant with the slug \(slug) exists; slugs are never given twice.")
            }
            return tenant
        }
    }

    public func list(_ admin: AdminIdentity, status: TenantRecord.Status?, _ page: PageRequest) async throws -> Page<TenantRecord> {
        let after = try page.after(TenantID.self)
        return try await directory(admin) { directory in
            Page(rows: try await directory.tenants(status: status, limit: page.limit + 1, after: after), limit: page.limit) {
                $0.tenantID.description
            }
        }
    }

    public func get(_ admin: AdminIdentity, _ id: TenantID) async throws -> TenantRecord {
        try await directory(admin) { try await Self.get($0, id) }
    }

    private static func get(_ directory: TenantDirectory, _ id: TenantID) async throws -> TenantRecord {
        guard let tenant = try await directory.tenant(id) else { throw GatewayError.notFound("tenant") }
        return tenant
    }

    /// What is nil stays.
    public func update(_ admin: AdminIdentity, _ id: TenantID, name: String?, limits: TenantLimitPatch?) async throws -> TenantRecord {
        let changed = try await directory(admin) { try await $0.update(id, name: name, limits: limits) }
        guard let changed else { return try await get(admin, id) }
        if limits != nil { notices.publish(id) }
        return changed
    }

    /// Suspended: its keys get 403, its streams and sockets end, its runs pause. Asking again changes nothing.
    public func setStatus(
        _ admin: AdminIdentity, _ id: TenantID, _ status: TenantRecord.Status, reason: String?
    ) async throws -> TenantRecord {
        let (tenant, isChanged) = try await directory(admin) { directory in
            if let changed = try await directory.setStatus(id, status, reason: reason) { return (changed, true) }
            return (try await Self.get(directory, id), false)
        }
        guard tenant.status == status else { throw Self.platform("The platform's own tenant cannot be suspended: nobody could resume it.") }
        if isChanged {
            watch.committed(
                AccessChanges(tenants: [
                    .init(tenantID: id, generation: tenant.generation, isSuspended: tenant.status == .suspended)
                ]))
        }
        return tenant
    }

    /// The tenant in which an admin issues or rotates keys: any but the platform's own, whose keys are made on the machine.
    public func scopeForKeys(_ admin: AdminIdentity, _ id: TenantID) async throws -> TenantScope {
        let tenant = try await get(admin, id)
        guard tenant.slug != Bootstrap.platformSlug else {
            throw Self.platform("Keys of admins are made on the gateway's own machine: hsafa-gateway keys create --admin.")
        }
        return tenant.scope
    }

    private static func platform(_ detail: String) -> GatewayError { .conflict("platform_tenant", detail) }

    // MARK: Audit

    public func audit(
        _ admin: AdminIdentity, tenant: TenantID?, _ filter: AuditFilter, _ page: PageRequest
    ) async throws -> Page<AuditRecord> {
        let after = try page.afterAudit()
        return try await directory(admin) { directory in
            let rows = try await directory.audit(tenant: tenant, filter, limit: page.limit + 1, after: after)
            return Page(rows: rows, limit: page.limit) { AuditCursor($0).text }
        }
    }
}

/// The audit log of one tenant, as its own keys read it.
public struct AuditService: Sendable {
    private let database: Database

    init(database: Database) { self.database = database }

    public func list(_ scope: TenantScope, _ filter: AuditFilter, _ page: PageRequest) async throws -> Page<AuditRecord> {
        let rows = try await database.tenant(scope).audit(filter, limit: page.limit + 1, after: try page.afterAudit())
        return Page(rows: rows, limit: page.limit) { AuditCursor($0).text }
    }
}

extension PageRequest {
    func afterAudit() throws(GatewayError) -> AuditCursor? {
        guard let cursor else { return nil }
        guard let place = AuditCursor(cursor) else {
            throw .invalidQuery("cursor", "is not a cursor of this list; leave it out to begin with the first page")
        }
        return place
    }
}
