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

/// Who makes a request: a key, or a run token that a key has made.
public struct Principal: Sendable {
    public let keyID: APIKeyID
    public let scope: TenantScope
    public let scopes: Set<Scope>
    public let isAdmin: Bool
    /// Of the secret that was shown: a rotated key's older one ends with its overlap.
    public let expiresAt: Timestamp?
    /// The key's, when it was verified: another one says that the key has changed since.
    public let generation: Int32
    /// Who makes the request with a run token has what the token gives, and nothing of the key that made it.
    public let runToken: RunToken?

    package init(
        keyID: APIKeyID, scope: TenantScope, scopes: Set<Scope>, isAdmin: Bool, expiresAt: Timestamp?, generation: Int32 = 1,
        runToken: RunToken? = nil
    ) {
        self.keyID = keyID
        self.scope = scope
        self.scopes = scopes
        self.isAdmin = isAdmin
        self.expiresAt = expiresAt
        self.generation = generation
        self.runToken = runToken
    }

    /// 403 naming the scope when this principal lacks it. Keys of admins are for `/api/admin` alone, whatever they hold.
    public func require(_ scope: Scope) throws(GatewayError) {
        guard !isAdmin, runToken == nil, scopes.contains(scope) else { throw .missingScope(scope) }
    }

    /// 403 for everybody but the platform's admins.
    public func requireAdmin() throws(GatewayError) {
        guard isAdmin else { throw .adminRequired }
    }

    /// Nobody hands out more than he has: neither scopes, nor time. An admin holds no scopes, and gives tenants theirs.
    public func requireToHold(_ scopes: Set<Scope>, until expiry: Timestamp?) throws(GatewayError) {
        guard !isAdmin else { return }
        let beyond = scopes.subtracting(self.scopes)
        guard beyond.isEmpty else { throw .scopesBeyondIssuer(beyond) }
        guard let expiresAt else { return }
        guard let expiry, expiry <= expiresAt else { throw .expiryBeyondIssuer(expiresAt) }
    }
}
