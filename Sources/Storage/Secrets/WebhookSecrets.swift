public import Domain
import JSON
public import Postgres

/// A tenant's signing secrets: the current one, and the one before while it is good.
public struct WebhookSecretRecord: Sendable {
    public let current: SealedSecret
    public let previous: SealedSecret?
    public let rotatedAt: Timestamp
    public let previousExpiresAt: Timestamp?
}

/// A call of an external tool as its answer finds it.
public struct ExternalCallPlace: Sendable {
    public let scope: TenantScope
    public let isSuspended: Bool
    public let runID: RunID
}

extension TenantDatabase {
    public func webhookSecret() async throws(PostgresError) -> WebhookSecretRecord? {
        try await query(
            """
            SELECT key_id, sealed, previous_key_id, previous_sealed, rotated_at, previous_expires_at, previous_expires_at > now()
            FROM hsafa.webhook_secrets WHERE tenant_id = \(tenantID)
            """
        ).first.map(Self.webhookSecret)
    }

    static func webhookSecret(_ row: PostgresRow) throws(PostgresError) -> WebhookSecretRecord {
        var previous: SealedSecret?
        if try row.decode(6, as: Bool?.self) == true, let key = try row.decode(2, as: String?.self),
            let bytes = try row.decode(3, as: PostgresBytea?.self)
        {
            previous = SealedSecret(keyID: key, bytes: bytes.bytes)
        }
        return WebhookSecretRecord(
            current: SealedSecret(keyID: try row.decode(0), bytes: try row.decode(1, as: PostgresBytea.self).bytes), previous: previous,
            rotatedAt: try row.decode(4), previousExpiresAt: previous == nil ? nil : try row.decode(5))
    }
}

extension TenantChanges {
    /// A new secret; the one before signs as well for the overlap, the one before that no more.
    public func rotateWebhookSecret(_ sealed: SealedSecret, overlapSeconds: Int) async throws(PostgresError) -> WebhookSecretRecord? {
        let entry = AuditEntry(.webhookSecretRotate, named: "webhook-secret") { writer in
            writer.field("overlapSeconds", int: overlapSeconds)
        }
        return try await write(
            entry,
            """
            INSERT INTO hsafa.webhook_secrets AS w (tenant_id, key_id, sealed)
            VALUES (\(tenantID), \(sealed.keyID), \(PostgresBytea(sealed.bytes)))
            ON CONFLICT (tenant_id) DO UPDATE SET
                previous_key_id = CASE WHEN \(overlapSeconds) > 0 THEN w.key_id END,
                previous_sealed = CASE WHEN \(overlapSeconds) > 0 THEN w.sealed END,
                previous_expires_at = CASE WHEN \(overlapSeconds) > 0 THEN now() + make_interval(secs => \(overlapSeconds)) END,
                key_id = excluded.key_id, sealed = excluded.sealed, rotated_at = now()
            RETURNING key_id, sealed, previous_key_id, previous_sealed, rotated_at, previous_expires_at, previous_expires_at > now()
            """
        ).first.map(TenantDatabase.webhookSecret)
    }

    /// The same secrets under another master key; false when they were changed meanwhile.
    public func resealWebhookSecret(
        from old: SealedSecret, to new: SealedSecret, previous: SealedSecret?
    ) async throws(PostgresError) -> Bool {
        let entry = AuditEntry(.secretReseal, named: "webhook-secret") { writer in
            writer.field("from", string: old.keyID)
            writer.field("to", string: new.keyID)
        }
        return try await write(
            entry,
            """
            UPDATE hsafa.webhook_secrets SET key_id = \(new.keyID), sealed = \(PostgresBytea(new.bytes)),
                previous_key_id = \(previous?.keyID), previous_sealed = \(previous.map { PostgresBytea($0.bytes) }),
                previous_expires_at = CASE WHEN \(previous != nil) THEN previous_expires_at END
            WHERE tenant_id = \(tenantID) AND sealed = \(PostgresBytea(old.bytes)) RETURNING tenant_id
            """
        ).first != nil
    }
}

extension Database {
    /// nil when there is no such call of target external.
    public func externalCall(_ tenant: TenantID, _ run: RunID, _ call: CallID) async throws(PostgresError) -> ExternalCallPlace? {
        try await client.query(
            "SELECT tenant_id, slug, tenant_status FROM hsafa.find_external_call(\(tenant), \(run), \(call))"
        ).first.map { row throws(PostgresError) in
            ExternalCallPlace(
                scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
                isSuspended: try row.decode(2, as: String.self) == "suspended", runID: run)
        }
    }
}

extension Bootstrap {
    /// Signing secrets of all tenants that another master key has sealed, behind a tenant, in order.
    public func webhookSecretsUnderOtherKeys(
        than key: String, after tenant: TenantID?, limit: Int
    ) async throws(PostgresError) -> [(scope: TenantScope, current: SealedSecret, previous: SealedSecret?)] {
        let start = tenant?.description ?? "00000000-0000-0000-0000-000000000000"
        return try await owner.query(
            """
            SELECT tenant_id, slug, key_id, sealed, previous_key_id, previous_sealed
            FROM hsafa.webhook_secrets_under_other_keys(\(key), \(start)::text::uuid, \(Int32(limit)))
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            var previous: SealedSecret?
            if let key = try row.decode(4, as: String?.self), let bytes = try row.decode(5, as: PostgresBytea?.self) {
                previous = SealedSecret(keyID: key, bytes: bytes.bytes)
            }
            return (
                TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
                SealedSecret(keyID: try row.decode(2), bytes: try row.decode(3, as: PostgresBytea.self).bytes), previous
            )
        }
    }
}
