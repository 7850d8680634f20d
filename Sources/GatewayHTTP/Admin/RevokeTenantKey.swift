import Domain
import Hummingbird
import Runtime
import Storage

/// `DELETE /api/admin/tenants/{tenantId}/keys/{keyId}`: also a key of an admin, this one included.
struct RevokeTenantKey: AdminOperation {
    static let audit = AuditRule.logs([.keyRevoke])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        let tenantID = try context.tenantID()
        let id = try context.parameters.id("keyId", "key", as: APIKeyID.self)
        try QueryReader.refuseAny(request)
        let scope = try await gateway.tenants.get(context.admin, tenantID).scope
        try await gateway.keys.revoke(scope, id, by: context.admin.author)
        return Answer.noContent()
    }
}
