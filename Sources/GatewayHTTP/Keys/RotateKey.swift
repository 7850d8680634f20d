import Domain
import HTTPTypes
import JSON
import Runtime
import Storage

/// `POST /api/keys/{keyId}/rotate` {overlapSeconds?, expiresAt?}: a new secret, shown this once; the old one is good for the overlap.
struct RotateKey: CreatingOperation {
    static let audit = AuditRule.logs([.keyRotate])
    let gateway: Gateway

    func requireParent(_ context: AuthenticatedContext) async throws {
        _ = try await gateway.keys.get(context.scope, try keyID(context))
    }

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) async throws -> RotationDraft {
        let id = try keyID(context)
        try QueryReader.refuseAny(request.head)
        let rotation = try KeyRotation(try request.jsonIfPresent())
        return try await gateway.keys.prepareRotation(
            context.scope, id, overlapSeconds: rotation.overlapSeconds, expiresAt: rotation.expiresAt, issuer: context.principal)
    }

    func create(_ draft: RotationDraft, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> IssuedKey {
        try await gateway.keys.rotate(draft, in: tenant, by: context.author)
    }

    func answer(_ issued: IssuedKey) -> CreationAnswer { issued.answer(.ok) }
    func committed(_ issued: IssuedKey) { gateway.keys.rotated(issued) }

    private func keyID(_ context: AuthenticatedContext) throws(GatewayError) -> APIKeyID { try context.parameters.id("keyId", "key") }
}
