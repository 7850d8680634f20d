public import Domain
import FoundationEssentials
public import Postgres

public struct DeviceSessionRecord: Sendable {
    public let sessionID: DeviceSessionID
    public let deviceID: DeviceID
    public let replicaID: ReplicaID
    public let remoteAddress: String?
    public let connectedAt: Timestamp
    public let lastHeartbeatAt: Timestamp
    public let disconnectedAt: Timestamp?
    public let closeReason: String?
}

/// What a connecting device must prove itself against; found before the tenant is known.
public struct DeviceCredential: Sendable {
    public let scope: TenantScope
    public let isTenantSuspended: Bool
    public let publicKey: [UInt8]
    public let status: DeviceStatus
}

/// What a heartbeat found out about a session.
public struct SessionRenewal: Sendable {
    public let sessionID: DeviceSessionID
    public let isOpen: Bool
    /// Why it was closed elsewhere: taken_over, revoked, lost.
    public let closeReason: String?
    public let isDeviceRevoked: Bool
    public let isTenantSuspended: Bool
}

extension TenantDatabase {
    /// Stores the claims, ends the device's older session and begins this one. nil when the device is not active; otherwise the
    /// sessions that were replaced.
    public func openSession(
        _ session: DeviceSessionID, device: DeviceID, replica: ReplicaID, remoteAddress: String?, capabilities: DeviceCapabilities
    ) async throws(PostgresError) -> [DeviceSessionID]? {
        let rows = try await query(
            """
            SELECT opened, replaced FROM hsafa.open_device_session(\(tenantID), \(device), \(session), \(replica), \(remoteAddress),
                \(capabilities.json.jsonb), \(capabilities.toolNames))
            """, lane: .alone)
        guard let row = rows.first, try row.decode(0, as: Bool.self) else { return nil }
        return try row.decode(1)
    }

    /// Newest first.
    public func sessions(of device: DeviceID, limit: Int, after: DeviceSessionID?) async throws(PostgresError) -> [DeviceSessionRecord] {
        try await query(
            """
            SELECT session_id, device_id, replica_id, remote_address, connected_at, last_heartbeat_at, disconnected_at, close_reason
            FROM hsafa.device_sessions
            WHERE tenant_id = \(tenantID) AND device_id = \(device) AND (\(after)::uuid IS NULL OR session_id < \(after))
            ORDER BY session_id DESC LIMIT \(limit)
            """, lane: .list
        ).mapRows { row throws(PostgresError) in
            DeviceSessionRecord(
                sessionID: try row.decode(0), deviceID: try row.decode(1), replicaID: try row.decode(2), remoteAddress: try row.decode(3),
                connectedAt: try row.decode(4), lastHeartbeatAt: try row.decode(5), disconnectedAt: try row.decode(6),
                closeReason: try row.decode(7))
        }
    }
}

/// What a gateway does for all the sockets that it holds, across tenants.
public struct DeviceSessions: Sendable {
    private let database: Database

    public init(_ database: Database) { self.database = database }

    public func credential(of device: DeviceID) async throws(PostgresError) -> DeviceCredential? {
        let rows = try await database.unscoped(
            "SELECT tenant_id, slug, tenant_status, public_key, status FROM hsafa.find_device(\(device))")
        guard let row = rows.first else { return nil }
        return DeviceCredential(
            scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
            isTenantSuspended: try row.decode(2, as: String.self) != "active",
            publicKey: try row.decode(3, as: PostgresBytea.self).bytes, status: try row.decodeCase(4))
    }

    /// A session that is not in the answer has no row.
    public func renew(_ sessions: [(TenantID, DeviceSessionID)]) async throws(PostgresError) -> [SessionRenewal] {
        try await database.unscoped(
            """
            SELECT session_id, is_open, close_reason, device_status, tenant_status
            FROM hsafa.renew_device_sessions(\(sessions.map(\.0)), \(sessions.map(\.1)))
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            SessionRenewal(
                sessionID: try row.decode(0), isOpen: try row.decode(1), closeReason: try row.decode(2),
                isDeviceRevoked: try row.decode(3, as: String.self) == DeviceStatus.revoked.rawValue,
                isTenantSuspended: try row.decode(4, as: String.self) != "active")
        }
    }

    public func end(_ sessions: [(tenant: TenantID, session: DeviceSessionID, reason: String)]) async throws(PostgresError) {
        _ = try await database.unscoped(
            "SELECT hsafa.end_device_sessions(\(sessions.map(\.tenant)), \(sessions.map(\.session)), \(sessions.map(\.reason)))",
            lane: .alone)
    }

    /// Ends the sessions of gateways that have gone; how many.
    public func endSilent(afterSeconds: Double, limit: Int) async throws(PostgresError) -> Int {
        let rows = try await database.unscoped("SELECT hsafa.lose_device_sessions(\(afterSeconds), \(Int32(limit)))", lane: .alone)
        return try rows.first?.decode(0) ?? 0
    }

    /// The open calls of these devices.
    public func dispatchedCalls(of devices: [(TenantID, DeviceID)]) async throws(PostgresError) -> [DeviceID: [CallID]] {
        let rows = try await database.unscoped(
            "SELECT device_id, call_id FROM hsafa.dispatched_calls(\(devices.map(\.0)), \(devices.map(\.1)))")
        var calls: [DeviceID: [CallID]] = [:]
        for row in rows { calls[try row.decode(0), default: []].append(try row.decode(1)) }
        return calls
    }

    /// Calls that no device was asked yet, of some tenants after the cursor; the next cursor begins a new round at its end.
    public func waitingCalls(
        after cursor: TenantID?
    ) async throws(PostgresError) -> (calls: [(scope: TenantScope, callID: CallID)], cursor: TenantID?) {
        let rows = try await database.unscoped(
            "SELECT tenant_id, slug, call_id FROM hsafa.waiting_device_calls(\(cursor ?? Self.beforeAllTenants))", lane: .slow)
        var calls: [(TenantScope, CallID)] = []
        var tenants: Set<TenantID> = []
        var last: TenantID?
        for row in rows {
            let tenantID = try row.decode(0, as: TenantID.self)
            tenants.insert(tenantID)
            last = tenantID
            guard let slug = try row.decode(1, as: String?.self), let call = try row.decode(2, as: CallID?.self) else { continue }
            calls.append((TenantScope(tenantID: tenantID, slug: slug), call))
        }
        return (calls, tenants.count < Self.tenantsPerSweep ? nil : last)
    }

    private static let beforeAllTenants = TenantID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
    /// As in `waiting_device_calls`.
    private static let tenantsPerSweep = 32
}
