public import Domain
import JSON
public import Postgres

extension TenantChanges {
    /// nil when another device of the tenant has this key.
    public func insertDevice(_ id: DeviceID, _ new: NewDevice) async throws(PostgresError) -> DeviceRecord? {
        let entry = AuditEntry(.deviceRegister, id) { writer in
            writer.field("deviceKey", string: new.deviceKey)
            writer.field("labels", raw: Labels.json(new.labels))
        }
        return try await write(entry, TenantDatabase.insertDevice(id, new, tenantID)).first.map(TenantDatabase.device)
    }

    /// Absent leaves as it is; `.some(nil)` clears. nil when there is no such device.
    public func updateDevice(
        _ id: DeviceID, displayName: String??, labels: [String: String]?, allowedTools: [String]??, onlineSeconds: Double
    ) async throws(PostgresError) -> DeviceRecord? {
        let entry = AuditEntry(.deviceUpdate, id) { writer in
            writer.field("displayName", stringIfPresent: displayName ?? nil)
            writer.field("labels", rawIfPresent: labels.map { Labels.json($0) })
            writer.field(
                "allowedTools", rawIfPresent: (allowedTools ?? nil).map { tools in .array { for tool in tools { $0.string(tool) } } })
            let cleared = [("displayName", displayName == .some(nil)), ("allowedTools", allowedTools == .some(nil))].filter(\.1)
            if !cleared.isEmpty { writer.field("cleared", raw: .array { list in for (name, _) in cleared { list.string(name) } }) }
        }
        let changed = try await write(
            entry,
            """
            UPDATE hsafa.devices SET
                display_name = CASE WHEN \(displayName != nil) THEN \(displayName ?? nil)::text ELSE display_name END,
                labels = coalesce(\(labels.map { Labels.json($0).jsonb }), labels),
                allowed_tools = CASE WHEN \(allowedTools != nil) THEN \(allowedTools ?? nil)::text[] ELSE allowed_tools END
            WHERE tenant_id = \(tenantID) AND device_id = \(id) RETURNING device_id
            """)
        guard !changed.isEmpty else { return nil }
        return try await database.device(id, onlineSeconds: onlineSeconds)
    }

    /// false when it was not pending; a revoked device stays revoked.
    public func approveDevice(_ id: DeviceID) async throws(PostgresError) -> Bool {
        let rows = try await write(
            AuditEntry(.deviceApprove, id),
            """
            UPDATE hsafa.devices SET status = 'active'
            WHERE tenant_id = \(tenantID) AND device_id = \(id) AND status = 'pending' RETURNING device_id
            """)
        return !rows.isEmpty
    }

    /// Ends its open session as well. false when there is no such device; revoking twice is the same as once.
    public func revokeDevice(_ id: DeviceID) async throws(PostgresError) -> Bool {
        let statement = statement(
            AuditEntry(.deviceRevoke, id),
            with: """
                closed AS (
                    UPDATE hsafa.device_sessions SET disconnected_at = now(), close_reason = 'revoked'
                    WHERE tenant_id = \(tenantID) AND device_id = \(id) AND disconnected_at IS NULL
                ), before AS (
                    SELECT status FROM hsafa.devices WHERE tenant_id = \(tenantID) AND device_id = \(id) FOR NO KEY UPDATE
                ), change AS (
                    UPDATE hsafa.devices SET status = 'revoked' FROM before
                    WHERE tenant_id = \(tenantID) AND device_id = \(id) RETURNING before.status AS status_before
                )
                """, where: "status_before <> 'revoked'")
        return try await !database.query(statement, lane: .alone).isEmpty
    }
}
