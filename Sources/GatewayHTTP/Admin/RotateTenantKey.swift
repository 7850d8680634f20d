import Domain
import HTTPTypes
import JSON
import Runtime
import Storage

/// `POST /api/admin/tenants/{tenantId}/keys/{keyId}/rotate` {overlapSeconds?, expiresAt?}.
struct RotateTenantKey: CreatingOperation {
    static let audit = AuditRule.logs([.keyRotate])
    let gateway: Gateway

    func requireParent(_ context: AdminContext) async throws {
        let scope = try await gateway.tenants.scopeForKeys(context.admin, try context.tenantID())
        _ = try await gateway.keys.get(scope, try keyID(context))
    }

    func read(_ request: CreationRequest, _ context: AdminContext) async throws -> RotationDraft {
        let id = try keyID(context)
        let scope = try await home(context)
        try QueryReader.refuseAny(request.head)
        let rotation = try KeyRotation(try request.jsonIfPresent())
        return try await gateway.keys.prepareRotation(
            scope, id, overlapSeconds: rotation.overlapSeconds, expiresAt: rotation.expiresAt, issuer: context.principal)
    }

    func home(_ context: AdminContext) async throws -> TenantScope {
        try await gateway.tenants.scopeForKeys(context.admin, try context.tenantID())
    }

    func create(_ draft: RotationDraft, in tenant: TenantDatabase, _ context: AdminContext) async throws -> IssuedKey {
        try await gateway.keys.rotate(draft, in: tenant, by: context.admin.author)
    }

    func answer(_ issued: IssuedKey) -> CreationAnswer { issued.answer(.ok) }
    func committed(_ issued: IssuedKey) { gateway.keys.rotated(issued) }

    private func keyID(_ context: AdminContext) throws(GatewayError) -> APIKeyID { try context.parameters.id("keyId", "key") }
}
