public import Domain
public import Postgres

/// What changed about keys, run tokens and tenants, as caches and open streams must hear it. A generation that differs from the one that is held says that what is
/// held is old; so hearing of a change again costs nothing.
public struct AccessChanges: Sendable {
    public struct Key: Sendable, Hashable {
        public let tenantID: TenantID
        public let keyID: APIKeyID
        public let generation: Int32

        public init(tenantID: TenantID, keyID: APIKeyID, generation: Int32) {
            self.tenantID = tenantID
            self.keyID = keyID
            self.generation = generation
        }
    }

    public struct Tenant: Sendable, Hashable {
        public let tenantID: TenantID
        public let generation: Int32
        public let isSuspended: Bool

        public init(tenantID: TenantID, generation: Int32, isSuspended: Bool) {
            self.tenantID = tenantID
            self.generation = generation
            self.isSuspended = isSuspended
        }
    }

    public struct RunToken: Sendable, Hashable {
        public let tenantID: TenantID
        public let tokenID: RunTokenID

        public init(tenantID: TenantID, tokenID: RunTokenID) {
            self.tenantID = tenantID
            self.tokenID = tokenID
        }
    }

    public var keys: [Key]
    public var tenants: [Tenant]
    /// Those that were revoked.
    public var runTokens: [RunToken]
    /// The database's clock; nil for changes that were not read from it.
    public var readAt: Timestamp?
    /// There were more than could be read, or some of them may be gone by now: anything may have changed.
    public var isIncomplete = false

    public init(keys: [Key] = [], tenants: [Tenant] = [], runTokens: [RunToken] = [], readAt: Timestamp? = nil) {
        self.keys = keys
        self.tenants = tenants
        self.runTokens = runTokens
        self.readAt = readAt
    }
}

extension Credentials {
    /// Changes after `since`, by the database's clock; nil only asks for the clock.
    public func changes(since: Timestamp?, limit: Int = Limits.maxAccessChanges) async throws(PostgresError) -> AccessChanges {
        let rows = try await database.unscoped(
            """
            SELECT kind, tenant_id, key_id, generation, is_active, at FROM hsafa.access_changes(\(since), \(Int32(limit + 1)))
            """)
        var changes = AccessChanges()
        for row in rows {
            switch try row.decode(0, as: String.self) {
            case "key": changes.keys.append(.init(tenantID: try row.decode(1), keyID: try row.decode(2), generation: try row.decode(3)))
            case "tenant":
                changes.tenants.append(
                    .init(tenantID: try row.decode(1), generation: try row.decode(3), isSuspended: try !row.decode(4, as: Bool.self)))
            case "run_token": changes.runTokens.append(.init(tenantID: try row.decode(1), tokenID: try row.decode(2)))
            default: changes.readAt = try row.decode(5)
            }
        }
        let tooMany = [changes.keys.count, changes.tenants.count, changes.runTokens.count].contains { $0 > limit }
        let reach = Int64(Limits.accessChangesSeconds) * 1000
        let isTooOld =
            if let since, let readAt = changes.readAt {
                readAt.millisecondsSinceUnixEpoch - since.millisecondsSinceUnixEpoch > reach
            } else { false }
        changes.isIncomplete = tooMany || isTooOld
        return changes
    }
}
