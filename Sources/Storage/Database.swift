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
public struct TenantDatabase: Sendable {
    package let client: PostgresClient
    let appends: AppendQueue
    public let scope: TenantScope

    package var tenantID: TenantID { scope.tenantID }

    package func query(_ sql: SQL, lane: PostgresLane = .shared) async throws(PostgresError) -> PostgresRows {
        try await client.query(sql, scope: tenantID.description, lane: lane)
    }

    package func withTransaction<R: Sendable>(_ body: @Sendable (PostgresTransaction) async throws -> R) async throws -> R {
        try await client.withTransaction(scope: tenantID.description, body)
    }
}
