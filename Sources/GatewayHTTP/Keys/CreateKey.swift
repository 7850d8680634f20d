import Domain
import HTTPTypes
import JSON
import Runtime
import Storage

/// `POST /api/keys` {name, scopes, expiresAt?}: the key is shown this once. A key hands out no more than it has.
struct CreateKey: CreatingOperation {
    static let audit = AuditRule.logs([.keyCreate])
    let gateway: Gateway

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) async throws -> KeyDraft {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let new = try reader.keyRequest()
        try reader.finish()
        return try await gateway.keys.prepare(new, issuer: context.principal)
    }

    func create(_ draft: KeyDraft, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> IssuedKey {
        try await gateway.keys.issue(draft, in: tenant, by: context.author)
    }

    func answer(_ issued: IssuedKey) -> CreationAnswer { issued.answer(.created, location: "/api/keys/\(issued.listing.keyID)") }
}
