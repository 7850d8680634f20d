public import Domain
import JSON
public import Postgres

/// A key that is to be written. `issuer` must be good in that very moment: a key that is being revoked leaves no child behind.
public struct NewAPIKey: Sendable {
    public let name: String
    public let scopes: [Scope]
    public let expiresAt: Timestamp?
    /// A key of the same tenant; nil when an admin or the machine issues.
    public let issuer: APIKeyID?

    public init(name: String, scopes: [Scope], expiresAt: Timestamp?, issuer: APIKeyID?) {
        self.name = name
        self.scopes = scopes
        self.expiresAt = expiresAt
        self.issuer = issuer
    }
}

/// A secret as it is stored: where it is found, and its hash.
public struct SecretRow: Sendable {
    public let publicID: String
    /// argon2id, a PHC string.
    public let hash: String

    public init(publicID: String, hash: String) {
        self.publicID = publicID
        self.hash = hash
    }
}

extension TenantChanges {
    /// nil when the tenant has `maxKeysPerTenant` already, or the issuer is no longer good.
    public func insertKey(_ id: APIKeyID, _ new: NewAPIKey, _ secret: SecretRow) async throws(PostgresError) -> APIKeyListing? {
        let entry = AuditEntry(.keyCreate, id) { writer in
            writer.field("name", string: new.name)
            writer.field("scopes", raw: .array { list in for scope in new.scopes { list.string(scope.rawValue) } })
            writer.field("expiresAt", stringIfPresent: new.expiresAt?.description)
        }
        return try await write(
            entry,
            """
            INSERT INTO hsafa.api_keys (tenant_id, key_id, public_id, name, secret_hash, scopes, expires_at)
            SELECT \(tenantID), \(id), \(secret.publicID), \(new.name), \(secret.hash), \(new.scopes.map(\.rawValue)), \(new.expiresAt)
            WHERE (SELECT count(*) FROM hsafa.api_keys k WHERE k.tenant_id = \(tenantID) AND k.revoked_at IS NULL)
                < \(Limits.maxKeysPerTenant)
              AND (\(new.issuer)::uuid IS NULL OR EXISTS (
                SELECT FROM hsafa.api_keys i WHERE i.tenant_id = \(tenantID) AND i.key_id = \(new.issuer) AND i.revoked_at IS NULL
                  AND (i.expires_at IS NULL OR i.expires_at > now())))
            RETURNING \(unsafeSQL: TenantDatabase.keyColumns)
            """
        ).first.map(TenantDatabase.key)
    }

    /// A new secret; the one before stays good for `overlapSeconds`, the one before that ends now. nil when the key is not as it was
    /// read any more (`generation`), is revoked, or the issuer is no longer good.
    public func rotateKey(
        _ id: APIKeyID, generation: Int32, _ secret: SecretRow, overlapSeconds: Int, expiresAt: Timestamp?, issuer: APIKeyID?
    ) async throws(PostgresError) -> APIKeyListing? {
        let entry = AuditEntry(.keyRotate, id) { writer in
            writer.field("overlapSeconds", int: overlapSeconds)
            writer.field("expiresAt", stringIfPresent: expiresAt?.description)
        }
        return try await write(
            entry,
            """
            UPDATE hsafa.api_keys SET
                previous_public_id = CASE WHEN \(overlapSeconds) > 0 THEN public_id END,
                previous_secret_hash = CASE WHEN \(overlapSeconds) > 0 THEN secret_hash END,
                previous_expires_at = CASE WHEN \(overlapSeconds) > 0 THEN now() + make_interval(secs => \(overlapSeconds)) END,
                public_id = \(secret.publicID), secret_hash = \(secret.hash), rotated_at = now(),
                expires_at = coalesce(\(expiresAt)::timestamptz, expires_at)
            WHERE tenant_id = \(tenantID) AND key_id = \(id) AND generation = \(generation) AND revoked_at IS NULL
              AND (\(issuer)::uuid IS NULL OR EXISTS (
                SELECT FROM hsafa.api_keys i WHERE i.tenant_id = \(tenantID) AND i.key_id = \(issuer) AND i.revoked_at IS NULL
                  AND (i.expires_at IS NULL OR i.expires_at > now())))
            RETURNING \(unsafeSQL: TenantDatabase.keyColumns)
            """
        ).first.map(TenantDatabase.key)
    }

    /// Both secrets, at once and for good. nil when there is no such key, or it is revoked already.
    public func revokeKey(_ id: APIKeyID) async throws(PostgresError) -> APIKeyListing? {
        try await write(
            AuditEntry(.keyRevoke, id),
            """
            UPDATE hsafa.api_keys SET revoked_at = now(), previous_public_id = NULL, previous_secret_hash = NULL, previous_expires_at = NULL
            WHERE tenant_id = \(tenantID) AND key_id = \(id) AND revoked_at IS NULL
            RETURNING \(unsafeSQL: TenantDatabase.keyColumns)
            """
        ).first.map(TenantDatabase.key)
    }
}
