import Domain
import Hummingbird
import Runtime
import Storage

/// `POST /api/keys/{keyId}/rotate` {overlapSeconds?, expiresAt?}: a new secret, shown this once; the old one is good for the overlap.
struct RotateKey: Operation {
    static let audit = AuditRule.logs([.keyRotate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("keyId", "key", as: APIKeyID.self)
        try QueryReader.refuseAny(request)
        let rotation = try await afterExistence {
            _ = try await gateway.keys.get(context.scope, id)
        } _: {
            try KeyRotation(try await JSONBody.readIfPresent(request))
        }
        let rotated = try await gateway.keys.rotate(
            context.scope, id, overlapSeconds: rotation.overlapSeconds, expiresAt: rotation.expiresAt, issuer: context.principal,
            by: context.author)
        return rotated.answer(.ok)
    }
}
