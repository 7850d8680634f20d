import Argon2
import Cryptography
public import Domain
import JSON
public import Storage

/// A key's text, shown this once.
public struct IssuedKey: Sendable {
    public let text: String
    public let listing: APIKeyListing
    /// Whose key was rotated.
    var tenantID: TenantID?
}

/// A key before it is written: checked, its secret made and hashed.
public struct KeyDraft: Sendable {
    let text: String
    let secret: SecretRow
    let new: NewAPIKey
}

/// A rotation before it is written.
public struct RotationDraft: Sendable {
    let keyID: APIKeyID
    let text: String
    let secret: SecretRow
    let overlapSeconds: Int
    let expiresAt: Timestamp?
    let issuer: Principal
}

public struct KeyRequest: Sendable {
    public let name: String
    public let scopes: [Scope]
    /// nil: as long as the issuer, which may be for ever.
    public let expiresAt: Timestamp?

    public init(name: String, scopes: [Scope], expiresAt: Timestamp?) {
        self.name = name
        self.scopes = scopes
        self.expiresAt = expiresAt
    }
}

/// Keys of one tenant, as the tenant's own keys or the platform's admins handle them. Nobody hands out more than he has.
public struct KeyService: Sendable {
    private let database: Database
    private let hasher: PasswordHasher
    private let watch: AccessWatch
    private let share: HashShare

    init(database: Database, hasher: PasswordHasher, watch: AccessWatch, share: HashShare = HashShare(Limits.maxIssuingHashes)) {
        self.database = database
        self.hasher = hasher
        self.watch = watch
        self.share = share
    }

    // MARK: Read

    public func list(_ scope: TenantScope, _ page: PageRequest) async throws -> Page<APIKeyListing> {
        let rows = try await database.tenant(scope).apiKeys(limit: page.limit + 1, after: try page.after(APIKeyID.self))
        return Page(rows: rows, limit: page.limit) { $0.keyID.description }
    }

    public func get(_ scope: TenantScope, _ id: APIKeyID) async throws -> APIKeyListing {
        guard let key = try await database.tenant(scope).apiKey(id) else { throw GatewayError.notFound("key") }
        return key
    }

    // MARK: Change

    /// Checks, and the hash, which takes long: before a transaction is opened for the writing.
    public func prepare(_ request: KeyRequest, issuer: Principal) async throws -> KeyDraft {
        guard !request.scopes.isEmpty else { throw Self.invalid("scopes", "must name at least one scope") }
        let expiresAt = request.expiresAt ?? (issuer.isAdmin ? nil : issuer.expiresAt)
        try Self.requireFuture(expiresAt)
        try issuer.requireToHold(Set(request.scopes), until: expiresAt)
        let (token, secret) = try await makeSecret()
        let new = NewAPIKey(
            name: request.name, scopes: request.scopes, expiresAt: expiresAt, issuer: issuer.isAdmin ? nil : issuer.keyID)
        return KeyDraft(text: token.text, secret: secret, new: new)
    }

    public func issue(_ draft: KeyDraft, in tenant: TenantDatabase, by author: ChangeAuthor) async throws -> IssuedKey {
        guard let listing = try await tenant.changes(by: author).insertKey(.generate(), draft.new, draft.secret) else {
            guard try await tenant.apiKeyCount() < Limits.maxKeysPerTenant else {
                throw GatewayError.conflict("too_many_keys", "A tenant has at most \(Limits.maxKeysPerTenant) keys; revoke some first.")
            }
            throw GatewayError.unauthorized
        }
        return IssuedKey(text: draft.text, listing: listing)
    }

    /// As for issuing: everything that needs no transaction.
    public func prepareRotation(
        _ scope: TenantScope, _ id: APIKeyID, overlapSeconds: Int, expiresAt: Timestamp?, issuer: Principal
    ) async throws -> RotationDraft {
        try await requireToRotate(database.tenant(scope), id, expiresAt: expiresAt, issuer)
        let (token, secret) = try await makeSecret()
        return RotationDraft(
            keyID: id, text: token.text, secret: secret, overlapSeconds: overlapSeconds, expiresAt: expiresAt, issuer: issuer)
    }

    /// A new secret under the same keyId; the one before is good for `overlapSeconds` more. `rotated(_:)` is for after the commit.
    public func rotate(_ draft: RotationDraft, in tenant: TenantDatabase, by author: ChangeAuthor) async throws -> IssuedKey {
        for _ in 0..<3 {
            let key = try await requireToRotate(tenant, draft.keyID, expiresAt: draft.expiresAt, draft.issuer)
            let rotated = try await tenant.changes(by: author).rotateKey(
                draft.keyID, generation: key.generation, draft.secret, overlapSeconds: draft.overlapSeconds, expiresAt: draft.expiresAt,
                issuer: draft.issuer.isAdmin ? nil : draft.issuer.keyID)
            if let rotated { return IssuedKey(text: draft.text, listing: rotated, tenantID: tenant.scope.tenantID) }
        }
        throw GatewayError.conflict("key_is_changing", "The key was changed by others at the same time; look at it, and rotate again.")
    }

    /// A rotation was committed: whoever has the key in its cache looks again.
    public func rotated(_ issued: IssuedKey) {
        guard let tenantID = issued.tenantID else { return }
        watch.committed(
            AccessChanges(keys: [.init(tenantID: tenantID, keyID: issued.listing.keyID, generation: issued.listing.generation)]))
    }

    /// At once and for good, everywhere. Idempotent.
    public func revoke(_ scope: TenantScope, _ id: APIKeyID, by author: ChangeAuthor) async throws {
        guard let revoked = try await database.tenant(scope).changes(by: author).revokeKey(id) else {
            _ = try await get(scope, id)
            return
        }
        watch.committed(AccessChanges(keys: [.init(tenantID: scope.tenantID, keyID: id, generation: revoked.generation)]))
    }

    // MARK: Rules

    /// A rotation hands out all that the key has: its scopes, for as long as it will live.
    @discardableResult
    private func requireToRotate(
        _ tenant: TenantDatabase, _ id: APIKeyID, expiresAt: Timestamp?, _ issuer: Principal
    ) async throws -> APIKeyListing {
        guard let key = try await tenant.apiKey(id) else { throw GatewayError.notFound("key") }
        guard !key.isAdmin else {
            throw GatewayError.conflict("platform_key", "Keys of admins are made on the gateway's own machine, and revoked anywhere.")
        }
        let expiry = expiresAt ?? key.expiresAt
        try issuer.requireToHold(Set(key.scopes), until: expiry)
        switch (key.status(), expiresAt) {
        case (.revoked, _): throw GatewayError.conflict("key_revoked", "This key was revoked, which is for good; issue a new one.")
        case (.expired, nil):
            throw GatewayError.conflict("key_expired", "This key has expired; give expiresAt to rotate it, or issue a new one.")
        case (.active, _), (.expired, _): break
        }
        try Self.requireFuture(expiresAt)
        return key
    }

    private static func requireFuture(_ expiresAt: Timestamp?) throws {
        if let expiresAt, expiresAt <= .now() { throw invalid("expiresAt", "must be in the future") }
    }

    private static func invalid(_ field: String, _ message: String) -> GatewayError {
        .invalidBody(JSONViolation(pointer: "/\(field)", message: message))
    }

    private func makeSecret() async throws -> (CredentialToken, SecretRow) {
        guard share.enter() else { throw GatewayError.hashesOverloaded }
        defer { share.leave() }
        let token = CredentialToken.generate(.apiKey)
        do {
            let hash = try await hasher.hash(Array(token.text.utf8), salt: SecureRandom.bytes(hasher.saltBytes))
            return (token, SecretRow(publicID: token.id, hash: hash))
        } catch PasswordHasherError.overloaded {
            throw GatewayError.hashesOverloaded
        } catch {
            throw GatewayError.unavailable("The gateway cannot make keys right now; try again.", cause: "\(error)")
        }
    }
}
