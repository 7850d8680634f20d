public import Domain
import JSON
package import Postgres

/// Changes of one tenant's configuration and access. Repositories that change such rows are extensions of this and not of
/// TenantDatabase, so a change without an author cannot be written; each puts its row of the audit log into its own statement or
/// transaction.
public struct TenantChanges: Sendable {
    public let database: TenantDatabase
    public let author: ChangeAuthor

    package var tenantID: TenantID { database.tenantID }
}

extension TenantDatabase {
    public func changes(by author: ChangeAuthor) -> TenantChanges { TenantChanges(database: self, author: author) }
}

extension TenantChanges {
    /// One statement: `change`, which must return the row that it changed, and the audit row where it changed one.
    package func write(
        _ entry: AuditEntry, lane: PostgresLane = .alone, _ change: SQL
    ) async throws(PostgresError) -> PostgresRows {
        try await write(entry, lane: lane, with: SQL(unsafeSQL: "change AS (\(change.text))", parameters: change.parameters))
    }

    /// For changes that need more than one part: `parts` are common table expressions, one of them called `change`.
    package func write(
        _ entry: AuditEntry, lane: PostgresLane = .alone, with parts: SQL
    ) async throws(PostgresError) -> PostgresRows {
        try await database.query(statement(entry, with: parts), lane: lane)
    }

    package func statement(_ entry: AuditEntry, with parts: SQL, where condition: String = "true") -> SQL {
        let row = row(of: entry)
        let places = row.indices.map { "$\(parts.parameters.count + $0 + 1)" }.joined(separator: ", ")
        return SQL(
            unsafeSQL: """
                WITH \(parts.text), audit AS (
                    INSERT INTO hsafa.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, target_kind, target_id, address,
                        request_id, details)
                    SELECT \(places) FROM change WHERE \(condition) LIMIT 1)
                SELECT * FROM change
                """,
            parameters: parts.parameters + row)
    }

    /// The audit row alone, for changes that are a transaction of several statements.
    package func insert(_ entry: AuditEntry) -> SQL {
        let row = row(of: entry)
        let places = row.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return SQL(
            unsafeSQL: """
                INSERT INTO hsafa.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, target_kind, target_id, address, request_id,
                    details)
                VALUES (\(places))
                """, parameters: row)
    }

    /// In the order of the columns above.
    private func row(of entry: AuditEntry) -> [PostgresValue] {
        [
            PostgresValue(tenantID), PostgresValue(AuditRowID.generate()), PostgresValue(author.kind.rawValue), PostgresValue(author.id),
            PostgresValue(entry.action.rawValue), PostgresValue(entry.action.targetKind), PostgresValue(entry.targetID),
            PostgresValue(author.address), PostgresValue(author.requestID), PostgresValue(entry.details?.jsonb),
        ]
    }
}
