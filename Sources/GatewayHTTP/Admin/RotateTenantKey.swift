import Domain
import Hummingbird
import Runtime
import Storage

/// `POST /api/admin/tenants/{tenantId}/keys/{keyId}/rotate` {overlapSeconds?, expiresAt?}.
struct RotateTenantKey: AdminOperation {
    static let audit = AuditRule.logs([.keyRotate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        let tenantID = try context.tenantID()
        let id = try context.parameters.id("keyId", "key", as: APIKeyID.self)
        try QueryReader.refuseAny(request)
        let scope = try await gateway.tenants.scopeForKeys(context.admin, tenantID)
        let rotation = try await afterExistence {
            _ = try await gateway.keys.get(scope, id)
        } _: {
            try KeyRotation(try await JSONBody.readIfPresent(request))
        }
        return try await gateway.keys.rotate(
            scope, id, overlapSeconds: rotation.overlapSeconds, expiresAt: rotation.expiresAt, issuer: context.admin.principal,
            by: context.admin.author
        ).answer(.ok)
    }
}
