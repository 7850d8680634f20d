import Domain
import HTTPTypes
import JSON
import Runtime
import Storage

/// `POST /api/admin/tenants/{tenantId}/keys` {name, scopes, expiresAt?}: a key of the tenant, shown this once.
struct CreateTenantKey: CreatingOperation {
    static let audit = AuditRule.logs([.keyCreate])
    let gateway: Gateway

    func requireParent(_ context: AdminContext) async throws {
        _ = try await gateway.tenants.scopeForKeys(context.admin, try context.tenantID())
    }

    func read(_ request: CreationRequest, _ context: AdminContext) async throws -> KeyDraft {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let new = try reader.keyRequest()
        try reader.finish()
        return try await gateway.keys.prepare(new, issuer: context.principal)
    }

    func home(_ context: AdminContext) async throws -> TenantScope {
        try await gateway.tenants.scopeForKeys(context.admin, try context.tenantID())
    }

    func create(_ draft: KeyDraft, in tenant: TenantDatabase, _ context: AdminContext) async throws -> IssuedKey {
        try await gateway.keys.issue(draft, in: tenant, by: context.admin.author)
    }

    func answer(_ issued: IssuedKey) -> CreationAnswer { issued.answer(.created) }
}
