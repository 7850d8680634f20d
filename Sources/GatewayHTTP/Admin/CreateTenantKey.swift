import Domain
import Hummingbird
import JSON
import Runtime

/// `POST /api/admin/tenants/{tenantId}/keys` {name, scopes, expiresAt?}: a key of the tenant, shown this once.
struct CreateTenantKey: AdminOperation {
    static let audit = AuditRule.logs([.keyCreate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        let id = try context.tenantID()
        try QueryReader.refuseAny(request)
        let scope = try await gateway.tenants.scopeForKeys(context.admin, id)
        let body = try await JSONBody.read(request)
        var reader = try JSONObjectReader(body.root)
        let new = try reader.keyRequest()
        try reader.finish()
        return try await gateway.keys.issue(scope, new, issuer: context.admin.principal, by: context.admin.author).answer(.created)
    }
}
