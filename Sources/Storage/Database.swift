public import Domain
public import Postgres

/// The application's Postgres. Rows of a tenant are reached through `tenant(_:)` alone; what crosses tenants is a short list of
/// SECURITY DEFINER functions, called by the few types that say so (Credentials, Claims, Overdue).
public final class Database: Sendable {
    package let client: PostgresClient
    private let appends: AppendQueue

    public init(client: PostgresClient) {
        self.client = client
        appends = AppendQueue(client: client)
    }

    /// The setting that row-level security reads; every segment of the client sets it.
    public static let scopeSetting = "app.tenant_id"

    public func tenant(_ scope: TenantScope) -> TenantDatabase { TenantDatabase(client: client, appends: appends, scope: scope) }

    /// A statement over no tenant's rows: it sees nothing but what the system functions return.
    package func unscoped(_ sql: SQL, lane: PostgresLane = .shared) async throws(PostgresError) -> PostgresRows {
        try await client.query(sql, scope: nil, lane: lane)
    }

    public func ping() async throws(PostgresError) { _ = try await client.query("SELECT 1", lane: .alone) }

    /// Makes the log's partitions of the coming months; the number that was missing.
    public func ensurePartitions() async throws(PostgresError) -> Int {
        try await client.query("SELECT hsafa.ensure_run_event_partitions()", lane: .slow).first?.decode(0, as: Int.self) ?? 0
    }
}

/// One tenant's rows. Repositories are extensions of it, a file per table family; each statement names the tenant, and row-level
/// security stands behind it.
///
/// Each statement is a transaction of its own, unless this is the database of an open one (`inTransaction`): repositories do not know
/// which, so whatever they write can be made part of something larger.
public struct TenantDatabase: Sendable {
    private enum Road {
        case lanes(PostgresClient, AppendQueue)
        case open(PostgresTransaction)
    }

    private let road: Road
    public let scope: TenantScope

    init(client: PostgresClient, appends: AppendQueue, scope: TenantScope) {
        road = .lanes(client, appends)
        self.scope = scope
    }

    private init(_ transaction: PostgresTransaction, scope: TenantScope) {
        road = .open(transaction)
        self.scope = scope
    }

    package var tenantID: TenantID { scope.tenantID }

    /// Where appends of this tenant's runs gather; nil inside a transaction.
    var appends: AppendQueue? { if case .lanes(_, let appends) = road { appends } else { nil } }

    /// - Parameter lane: without meaning inside a transaction, which has its connection.
    package func query(_ sql: SQL, lane: PostgresLane = .shared) async throws(PostgresError) -> PostgresRows {
        switch road {
        case .lanes(let client, _): try await client.query(sql, scope: tenantID.description, lane: lane)
        case .open(let transaction): try await transaction.query(sql)
        }
    }

    /// Another tenant's rows, for what the platform's admins write. Inside a transaction it stays part of that one.
    func visiting<R: Sendable>(
        _ other: TenantScope, _ body: (TenantDatabase) async throws(PostgresError) -> R
    ) async throws(PostgresError) -> R {
        switch road {
        case .lanes(let client, let appends):
            return try await body(TenantDatabase(client: client, appends: appends, scope: other))
        case .open(let transaction):
            try await enter(other, transaction)
            // After an error nothing but the way out is left, so only a success leads back.
            let result = try await body(TenantDatabase(transaction, scope: other))
            try await enter(scope, transaction)
            return result
        }
    }

    private func enter(_ scope: TenantScope, _ transaction: PostgresTransaction) async throws(PostgresError) {
        _ = try await transaction.query(
            "SELECT set_config('app.tenant_id', \(scope.tenantID.description), true)")
    }

    /// All of what `body` does, or nothing of it. Inside a transaction it is part of that one.
    package func withTransaction<R: Sendable>(_ body: @Sendable (PostgresTransaction) async throws -> R) async throws -> R {
        switch road {
        case .lanes(let client, _): try await client.withTransaction(scope: tenantID.description, body)
        case .open(let transaction): try await body(transaction)
        }
    }

    /// The same, for what is written through repositories. The database that `body` is given is good inside it only; after an error
    /// of Postgres in it nothing but the way out is left.
    public func inTransaction<R: Sendable>(_ body: @Sendable (TenantDatabase) async throws -> R) async throws -> R {
        try await withTransaction { try await body(TenantDatabase($0, scope: scope)) }
    }
}
