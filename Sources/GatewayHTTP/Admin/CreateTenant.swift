import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/admin/tenants` {slug, name?}: the slug is for life, for policies name it.
struct CreateTenant: AdminOperation {
    static let audit = AuditRule.logs([.tenantCreate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let body = try await JSONBody.read(request)
        var reader = try JSONObjectReader(body.root)
        let slug = try reader.string("slug", maxBytes: 64)
        let name = try reader.has("name") ? reader.label("name", maxBytes: Limits.maxKeyNameBytes) : slug
        try reader.finish()
        let tenant = try await gateway.tenants.create(context.admin, slug: slug, name: name)
        return tenant.answer(.created, location: "/api/admin/tenants/\(tenant.tenantID)")
    }
}
