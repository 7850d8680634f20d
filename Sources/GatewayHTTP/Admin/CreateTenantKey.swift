import Domain
import HTTPTypes
import JSON
import Runtime
import Storage

/// `POST /api/admin/tenants/{tenantId}/keys` {name, scopes, expiresAt?}: a key of the tenant, shown this once.
struct CreateTenantKey: CreatingOperation {
    static let audit = AuditRule.logs([.keyCreate])
    let gateway: Gateway

    struct Draft {
        let scope: TenantScope
        let key: KeyDraft
    }

    func requireParent(_ request: CreationRequest, _ context: AdminContext) async throws {
        _ = try await gateway.tenants.scopeForKeys(context.admin, try context.tenantID())
    }

    func read(_ request: CreationRequest, _ context: AdminContext) async throws -> Draft {
        let scope = try await gateway.tenants.scopeForKeys(context.admin, try context.tenantID())
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let new = try reader.keyRequest()
        try reader.finish()
        return Draft(scope: scope, key: try await gateway.keys.prepare(new, issuer: context.principal))
    }

    func home(of draft: Draft, _ context: AdminContext) -> TenantScope { draft.scope }

    func create(_ draft: Draft, in tenant: TenantDatabase, _ context: AdminContext) async throws -> IssuedKey {
        try await gateway.keys.issue(draft.key, in: tenant, by: context.admin.author)
    }

    func answer(_ issued: IssuedKey) -> CreationAnswer { issued.answer(.created) }
}
