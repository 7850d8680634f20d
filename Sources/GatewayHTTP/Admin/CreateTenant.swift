import Domain
import JSON
import Runtime
import Storage

/// `POST /api/admin/tenants` {slug, name?}: the slug is for life, for policies name it.
struct CreateTenant: CreatingOperation {
    static let audit = AuditRule.logs([.tenantCreate])
    let gateway: Gateway

    struct Draft {
        let slug: String
        let name: String
    }

    func read(_ request: CreationRequest, _ context: AdminContext) async throws -> Draft {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let slug = try reader.string("slug", maxBytes: 64)
        let name = try reader.has("name") ? reader.label("name", maxBytes: Limits.maxKeyNameBytes) : slug
        try reader.finish()
        return Draft(slug: slug, name: name)
    }

    /// The platform's own tenant: what is created has no home yet.
    func home(_ context: AdminContext) -> TenantScope { context.principal.scope }

    func create(_ draft: Draft, in platform: TenantDatabase, _ context: AdminContext) async throws -> TenantRecord {
        try await gateway.tenants.create(context.admin, slug: draft.slug, name: draft.name, in: platform)
    }

    func answer(_ tenant: TenantRecord) -> CreationAnswer {
        Answer.creation(location: "/api/admin/tenants/\(tenant.tenantID)") { writer in tenant.write(to: &writer) }
    }
}
