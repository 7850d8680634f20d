public import Domain
public import JSON
public import Postgres

/// A row of the audit log.
public struct AuditRecord: Sendable {
    public let tenantID: TenantID
    public let auditID: AuditRowID
    public let at: Timestamp
    public let actorKind: String
    public let actorID: String
    public let action: String
    public let targetKind: String
    public let targetID: String
    public let address: String?
    public let requestID: String?
    public let details: RawJSON?
}

public struct AuditFilter: Sendable {
    public var action: String?
    public var actorID: String?
    public var targetID: String?
    public var from: Timestamp?
    /// Not included.
    public var to: Timestamp?

    public init(
        action: String? = nil, actorID: String? = nil, targetID: String? = nil, from: Timestamp? = nil, to: Timestamp? = nil
    ) {
        self.action = action
        self.actorID = actorID
        self.targetID = targetID
        self.from = from
        self.to = to
    }
}

/// A place in the log: rows are ordered by time, then by id.
public struct AuditCursor: Sendable {
    public let at: Timestamp
    public let auditID: AuditRowID

    public init(_ record: AuditRecord) {
        at = record.at
        auditID = record.auditID
    }

    /// `<milliseconds>_<id>`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "_", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, (1...15).contains(parts[0].utf8.count), parts[0].utf8.allSatisfy({ (48...57).contains($0) }),
            let milliseconds = Int64(parts[0]), let id = AuditRowID(parts[1])
        else { return nil }
        at = Timestamp(millisecondsSinceUnixEpoch: milliseconds)
        auditID = id
    }

    public var text: String { "\(at.millisecondsSinceUnixEpoch)_\(auditID)" }
}

extension TenantDatabase {
    /// Newest first. From where the platform's own people work is not the tenant's business.
    public func audit(_ filter: AuditFilter, limit: Int, after: AuditCursor?) async throws(PostgresError) -> [AuditRecord] {
        try await query(
            """
            SELECT a.tenant_id, a.audit_id, a.at, a.actor_kind, a.actor_id, a.action, a.target_kind, a.target_id,
                CASE WHEN a.actor_kind NOT IN ('admin', 'operator') THEN a.address END, a.request_id, a.details
            FROM hsafa.audit_log a
            WHERE a.tenant_id = \(tenantID)
              AND (\(filter.action)::text IS NULL OR a.action = \(filter.action))
              AND (\(filter.actorID)::text IS NULL OR a.actor_id = \(filter.actorID))
              AND (\(filter.targetID)::text IS NULL OR a.target_id = \(filter.targetID))
              AND (\(filter.from)::timestamptz IS NULL OR a.at >= \(filter.from))
              AND (\(filter.to)::timestamptz IS NULL OR a.at < \(filter.to))
              AND (\(after?.at)::timestamptz IS NULL OR (a.at, a.audit_id) < (\(after?.at), \(after?.auditID)))
            ORDER BY a.at DESC, a.audit_id DESC LIMIT \(limit)
            """, lane: .list
        ).mapRows(AuditRecord.init)
    }
}

extension AuditRecord {
    init(_ row: PostgresRow) throws(PostgresError) {
        self.init(
            tenantID: try row.decode(0), auditID: try row.decode(1), at: try row.decode(2), actorKind: try row.decode(3),
            actorID: try row.decode(4), action: try row.decode(5), targetKind: try row.decode(6), targetID: try row.decode(7),
            address: try row.decode(8), requestID: try row.decode(9), details: try row.decode(10))
    }
}
