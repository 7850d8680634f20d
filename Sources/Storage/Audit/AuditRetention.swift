public import Domain
import Postgres

/// Old rows of the audit log, for the command on the machine: only the owner's connection can delete them.
extension Bootstrap {
    /// The next tenant behind `place`, by id, that has rows from before a moment.
    public func nextTenantWithOldAudit(before: Timestamp, after place: TenantID?) async throws -> TenantScope? {
        let start = place?.description ?? "00000000-0000-0000-0000-000000000000"
        let rows = try await owner.query(
            "SELECT tenant_id, slug FROM hsafa.next_tenant_with_old_audit(\(before), \(start)::text::uuid)", lane: .alone)
        return try rows.first.map { TenantScope(tenantID: try $0.decode(0), slug: try $0.decode(1)) }
    }

    public func countAudit(of scope: TenantScope, before: Timestamp) async throws -> Int {
        let rows = try await owner.query(
            "SELECT count(*) FROM hsafa.audit_log WHERE tenant_id = \(scope.tenantID) AND at < \(before)",
            scope: scope.tenantID.description, lane: .alone)
        return try rows.first?.decode(0) ?? 0
    }

    /// Deletes the oldest rows from before a moment, `limit` at most, and leaves one that says so, in one statement; how many were
    /// deleted.
    public func pruneAudit(of scope: TenantScope, before: Timestamp, limit: Int) async throws -> Int {
        let tenant = scope.tenantID
        let rows = try await owner.query(
            """
            WITH old AS (
                SELECT a.audit_id FROM hsafa.audit_log a WHERE a.tenant_id = \(tenant) AND a.at < \(before)
                ORDER BY a.at, a.audit_id LIMIT \(limit)
            ), gone AS (
                DELETE FROM hsafa.audit_log a USING old WHERE a.tenant_id = \(tenant) AND a.audit_id = old.audit_id RETURNING a.at
            ), noted AS (
                INSERT INTO hsafa.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, target_kind, target_id, details)
                SELECT \(tenant), \(AuditRowID.generate()), \(author.kind.rawValue), \(author.id), \(AuditAction.auditPrune.rawValue),
                    \(AuditAction.auditPrune.targetKind), \(tenant.description),
                    jsonb_build_object('before', \(before.description)::text, 'rows', count(*))
                FROM gone HAVING count(*) > 0
            )
            SELECT count(*) FROM gone
            """, scope: tenant.description, lane: .alone)
        return try rows.first?.decode(0) ?? 0
    }
}
