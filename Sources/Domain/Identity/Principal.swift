/// The proof that work belongs to one tenant. Everything that reads or writes a tenant's rows asks for it.
public struct TenantScope: Sendable, Hashable {
    public let tenantID: TenantID
    /// Policies name tenants by slug.
    public let slug: String

    /// For the places that establish whose work it is: authentication, a claimed run, a registered device, a sweep.
    package init(tenantID: TenantID, slug: String) {
        self.tenantID = tenantID
        self.slug = slug
    }
}

/// Who makes a request.
public struct Principal: Sendable {
    public let keyID: APIKeyID
    public let scope: TenantScope
    public let scopes: Set<Scope>
    public let isAdmin: Bool
    public let expiresAt: Timestamp?

    package init(keyID: APIKeyID, scope: TenantScope, scopes: Set<Scope>, isAdmin: Bool, expiresAt: Timestamp?) {
        self.keyID = keyID
        self.scope = scope
        self.scopes = scopes
        self.isAdmin = isAdmin
        self.expiresAt = expiresAt
    }

    /// 403 naming the scope when this principal lacks it.
    public func require(_ scope: Scope) throws(GatewayError) {
        guard scopes.contains(scope) else { throw .missingScope(scope) }
    }
}
