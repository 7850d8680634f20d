public import Domain
import JSON
public import Postgres

/// A secret as lists show it: without its value.
public struct SecretListing: Sendable {
    public let name: String
    public let hosts: [String]
    /// Of the master key that has sealed it.
    public let keyID: String
    public let createdAt: Timestamp
    public let updatedAt: Timestamp
}

/// A secret as it is stored.
public struct SecretRecord: Sendable {
    public let listing: SecretListing
    public let sealed: SealedSecret

    public var name: String { listing.name }
    public var hosts: [String] { listing.hosts }
}

extension TenantDatabase {
    private static let listingColumns = "name, hosts, key_id, created_at, updated_at"

    /// By name.
    public func secrets(limit: Int, after: String?) async throws(PostgresError) -> [SecretListing] {
        try await query(
            """
            SELECT \(unsafeSQL: Self.listingColumns) FROM hsafa.secrets
            WHERE tenant_id = \(tenantID) AND name > \(after ?? "") ORDER BY name LIMIT \(limit)
            """, lane: .list
        ).mapRows(Self.listing)
    }

    /// Those of the names that there are.
    public func secrets(named names: [String]) async throws(PostgresError) -> [SecretRecord] {
        guard !names.isEmpty else { return [] }
        return try await query(
            """
            SELECT \(unsafeSQL: Self.listingColumns), sealed FROM hsafa.secrets WHERE tenant_id = \(tenantID) AND name = ANY(\(names))
            """
        ).mapRows { row throws(PostgresError) in
            let listing = try Self.listing(row)
            let sealed = try row.decode(5, as: PostgresBytea.self).bytes
            return SecretRecord(listing: listing, sealed: SealedSecret(keyID: listing.keyID, bytes: sealed))
        }
    }

    static func listing(_ row: PostgresRow) throws(PostgresError) -> SecretListing {
        SecretListing(
            name: try row.decode(0), hosts: try row.decode(1), keyID: try row.decode(2), createdAt: try row.decode(3),
            updatedAt: try row.decode(4))
    }
}

extension TenantChanges {
    /// Made, or given another value and other hosts. nil when the tenant has `maxSecretsPerTenant` others already.
    public func putSecret(
        _ name: String, _ sealed: SealedSecret, hosts: [String]
    ) async throws(PostgresError) -> (listing: SecretListing, isNew: Bool)? {
        let entry = AuditEntry(.secretSet, named: name) { writer in
            writer.field("hosts", raw: .array { list in for host in hosts { list.string(host) } })
        }
        let rows = try await write(
            entry,
            """
            INSERT INTO hsafa.secrets AS s (tenant_id, name, key_id, sealed, hosts)
            SELECT \(tenantID), \(name), \(sealed.keyID), \(PostgresBytea(sealed.bytes)), \(hosts)
            WHERE (SELECT count(*) FROM hsafa.secrets o WHERE o.tenant_id = \(tenantID) AND o.name <> \(name))
                < \(Limits.maxSecretsPerTenant)
            ON CONFLICT (tenant_id, name) DO UPDATE SET
                key_id = excluded.key_id, sealed = excluded.sealed, hosts = excluded.hosts, updated_at = now()
            RETURNING name, hosts, key_id, created_at, updated_at, xmax = 0
            """)
        guard let row = rows.first else { return nil }
        return (try TenantDatabase.listing(row), try row.decode(5))
    }

    /// false when there is none.
    public func deleteSecret(_ name: String) async throws(PostgresError) -> Bool {
        try await write(
            AuditEntry(.secretDelete, named: name),
            "DELETE FROM hsafa.secrets WHERE tenant_id = \(tenantID) AND name = \(name) RETURNING name"
        ).first != nil
    }

    /// The same value under another master key; false when it was changed meanwhile.
    public func resealSecret(_ name: String, from old: SealedSecret, to new: SealedSecret) async throws(PostgresError) -> Bool {
        let entry = AuditEntry(.secretReseal, named: name) { writer in
            writer.field("from", string: old.keyID)
            writer.field("to", string: new.keyID)
        }
        return try await write(
            entry,
            """
            UPDATE hsafa.secrets SET key_id = \(new.keyID), sealed = \(PostgresBytea(new.bytes))
            WHERE tenant_id = \(tenantID) AND name = \(name) AND sealed = \(PostgresBytea(old.bytes)) RETURNING name
            """
        ).first != nil
    }
}

extension Bootstrap {
    /// Secrets of all tenants that another master key has sealed, behind a place, in order.
    public func secretsUnderOtherKeys(
        than key: String, after: (tenant: TenantID, name: String)?, limit: Int
    ) async throws(PostgresError) -> [(scope: TenantScope, record: SecretRecord)] {
        let start = after?.tenant.description ?? "00000000-0000-0000-0000-000000000000"
        return try await owner.query(
            """
            SELECT tenant_id, slug, name, key_id, sealed, hosts
            FROM hsafa.secrets_under_other_keys(\(key), \(start)::text::uuid, \(after?.name ?? ""), \(Int32(limit)))
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            let keyID: String = try row.decode(3)
            let listing = SecretListing(
                name: try row.decode(2), hosts: try row.decode(5), keyID: keyID, createdAt: .now(), updatedAt: .now())
            return (
                TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
                SecretRecord(listing: listing, sealed: SealedSecret(keyID: keyID, bytes: try row.decode(4, as: PostgresBytea.self).bytes))
            )
        }
    }
}
