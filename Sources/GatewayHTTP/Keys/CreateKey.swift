import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/keys` {name, scopes, expiresAt?}: the key is shown this once. A key hands out no more than it has.
struct CreateKey: Operation {
    static let audit = AuditRule.logs([.keyCreate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let body = try await JSONBody.read(request)
        var reader = try JSONObjectReader(body.root)
        let new = try reader.keyRequest()
        try reader.finish()
        let issued = try await gateway.keys.issue(context.scope, new, issuer: context.principal, by: context.author)
        return issued.answer(.created, location: "/api/keys/\(issued.listing.keyID)")
    }
}
