import Domain
import Hummingbird
import Runtime

/// `DELETE /api/keys/{keyId}`: at once and for good; its streams end. A revoked key stays in the list.
struct RevokeKey: Operation {
    static let audit = AuditRule.logs([.keyRevoke])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("keyId", "key", as: APIKeyID.self)
        try QueryReader.refuseAny(request)
        try await gateway.keys.revoke(context.scope, id, by: context.author)
        return Answer.noContent()
    }
}
