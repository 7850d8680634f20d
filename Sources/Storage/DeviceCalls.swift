public import Domain
import JSON
public import Postgres

/// A call that waits for a device, and one device that could be asked; a call without a device online has none.
public struct DispatchCandidate: Sendable {
    public struct Device: Sendable {
        public let deviceID: DeviceID
        public let sessionID: DeviceSessionID
        public let replicaID: ReplicaID
        public let allowedTools: [String]?
        /// Calls that it was asked and has not answered.
        public let openCalls: Int
        public let connectedAt: Timestamp
        public let labels: [String: String]
    }

    public let runID: RunID
    public let callID: CallID
    public let tool: String
    public let agentName: String
    public let deadlineAt: Timestamp
    /// Labels that any device for it has.
    public let selectorLabels: [String: String]
    public let device: Device?
}

/// A call that its device was asked and has not answered.
public struct UnansweredCall: Sendable {
    public let runID: RunID
    public let callID: CallID
    public let agentName: String
    public let tool: String
    /// Of the device.
    public let labels: [String: String]
    public let allowedTools: [String]?
}

/// One more time that a call goes to its device.
public struct CallDelivery: Sendable {
    public let runID: RunID
    public let callID: CallID
    public let deadlineAt: Timestamp
    /// Counts from 1.
    public let attempt: Int
}

extension TenantDatabase {
    /// For each of these calls that still waits, the devices that could be asked: active, online, claiming the tool and fitting the
    /// selector; at most `maxDeviceCandidates` a call, of more a random choice. The subqueries leave the planner one way, a probe of an
    /// index per device, with statistics or without: joined freely it once compared all sessions with all devices.
    public func dispatchCandidates(_ calls: [CallID], onlineSeconds: Double) async throws(PostgresError) -> [DispatchCandidate] {
        try await query(
            """
            SELECT c.run_id, c.call_id, c.tool, r.agent_name, c.deadline_at, d.device_id, d.session_id, d.replica_id, d.allowed_tools,
                (SELECT count(*) FROM hsafa.tool_calls o
                 WHERE o.tenant_id = \(tenantID) AND o.device_id = d.device_id AND o.status = 'dispatched'),
                d.connected_at, d.labels, c.device_selector
            FROM hsafa.tool_calls c
            JOIN hsafa.runs r ON r.tenant_id = \(tenantID) AND r.run_id = c.run_id
            LEFT JOIN LATERAL (
                SELECT m.device_id, s.session_id, s.replica_id, m.allowed_tools, s.connected_at, m.labels
                FROM (
                    SELECT x.* FROM hsafa.devices x
                    WHERE x.tenant_id = \(tenantID) AND x.device_id = (c.device_selector->>'id')::uuid
                    UNION ALL
                    SELECT x.* FROM hsafa.devices x
                    WHERE x.tenant_id = \(tenantID) AND NOT c.device_selector ? 'id' AND x.device_key = c.device_selector->>'key'
                    UNION ALL
                    SELECT x.* FROM hsafa.devices x
                    WHERE x.tenant_id = \(tenantID) AND NOT c.device_selector ?| ARRAY['id', 'key']
                      AND x.labels @> (c.device_selector->'labels')
                ) m
                CROSS JOIN LATERAL (
                    SELECT n.session_id, n.replica_id, n.connected_at, n.disconnected_at, n.last_heartbeat_at
                    FROM hsafa.device_sessions n WHERE n.tenant_id = \(tenantID) AND n.device_id = m.device_id
                    ORDER BY n.connected_at DESC LIMIT 1) s
                WHERE m.status = 'active' AND c.tool = ANY(m.tool_names)
                  AND (NOT c.device_selector ? 'key' OR m.device_key = c.device_selector->>'key')
                  AND m.labels @> coalesce(c.device_selector->'labels', '{}')
                  AND s.disconnected_at IS NULL AND s.last_heartbeat_at > now() - make_interval(secs => \(onlineSeconds))
                ORDER BY random() LIMIT \(Limits.maxDeviceCandidates)
            ) d ON true
            WHERE c.tenant_id = \(tenantID) AND c.call_id = ANY(\(calls)) AND c.status = 'requested' AND c.target = 'device'
              AND c.deadline_at > now()
            """
        ).mapRows(Self.candidate)
    }

    private static func selectorLabels(_ row: PostgresRow, _ column: Int) throws(PostgresError) -> [String: String] {
        guard let selector = try row.decode(column, as: RawJSON?.self), let labels = try? selector.document().root["labels"] else {
            return [:]
        }
        return labels.members.reduce(into: [:]) { all, member in all[member.key] = member.value.string }
    }

    private static func candidate(_ row: PostgresRow) throws(PostgresError) -> DispatchCandidate {
        var device: DispatchCandidate.Device?
        if let id = try row.decode(5, as: DeviceID?.self) {
            device = DispatchCandidate.Device(
                deviceID: id, sessionID: try row.decode(6), replicaID: try row.decode(7), allowedTools: try row.decode(8),
                openCalls: try row.decode(9), connectedAt: try row.decode(10), labels: try labels(row, 11))
        }
        return DispatchCandidate(
            runID: try row.decode(0), callID: try row.decode(1), tool: try row.decode(2), agentName: try row.decode(3),
            deadlineAt: try row.decode(4), selectorLabels: try selectorLabels(row, 12), device: device)
    }

    /// Calls that wait and could go to this device, oldest first.
    public func callsWaiting(for device: DeviceID, limit: Int) async throws(PostgresError) -> [CallID] {
        try await query(
            """
            SELECT c.call_id FROM hsafa.tool_calls c JOIN hsafa.devices d ON d.tenant_id = \(tenantID) AND d.device_id = \(device)
            WHERE c.tenant_id = \(tenantID) AND c.status = 'requested' AND c.target = 'device' AND c.deadline_at > now()
              AND d.status = 'active' AND c.tool = ANY(d.tool_names)
              AND (NOT c.device_selector ? 'id' OR c.device_selector->>'id' = d.device_id::text)
              AND (NOT c.device_selector ? 'key' OR c.device_selector->>'key' = d.device_key)
              AND d.labels @> coalesce(c.device_selector->'labels', '{}')
            ORDER BY c.created_at LIMIT \(limit)
            """
        ).mapRows { row throws(PostgresError) in try row.decode(0) }
    }

    /// Open calls of a device, the oldest first, but those in `except`.
    public func unansweredCalls(of device: DeviceID, except: [CallID], limit: Int) async throws(PostgresError) -> [UnansweredCall] {
        try await query(
            """
            SELECT c.run_id, c.call_id, r.agent_name, d.labels, c.tool, d.allowed_tools
            FROM hsafa.tool_calls c
            JOIN hsafa.runs r ON r.tenant_id = c.tenant_id AND r.run_id = c.run_id
            JOIN hsafa.devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
            WHERE c.tenant_id = \(tenantID) AND c.device_id = \(device) AND c.status = 'dispatched' AND c.deadline_at > now()
              AND c.call_id <> ALL(\(except))
            ORDER BY c.created_at LIMIT \(limit)
            """
        ).mapRows { row throws(PostgresError) in
            UnansweredCall(
                runID: try row.decode(0), callID: try row.decode(1), agentName: try row.decode(2), tool: try row.decode(4),
                labels: try Self.labels(row, 3), allowedTools: try row.decode(5))
        }
    }

    /// Counts another delivery of those calls of the device that are still open. A row that is being decided at this moment is passed
    /// over: it is about to have its outcome.
    public func countDeliveries(of calls: [CallID], to device: DeviceID) async throws(PostgresError) -> [CallDelivery] {
        try await query(
            """
            WITH due AS (
                SELECT c.run_id, c.call_id FROM hsafa.tool_calls c
                WHERE c.tenant_id = \(tenantID) AND c.call_id = ANY(\(calls)) AND c.device_id = \(device) AND c.status = 'dispatched'
                  AND c.deadline_at > now()
                FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE hsafa.tool_calls c SET attempts = c.attempts + 1 FROM due
            WHERE c.tenant_id = \(tenantID) AND c.run_id = due.run_id AND c.call_id = due.call_id
            RETURNING c.run_id, c.call_id, c.deadline_at, c.attempts
            """, lane: .alone
        ).mapRows { row throws(PostgresError) in
            CallDelivery(runID: try row.decode(0), callID: try row.decode(1), deadlineAt: try row.decode(2), attempt: try row.decode(3))
        }
    }

    /// The run of a call that this device was asked; nil for any other call.
    public func run(ofCall call: CallID, askedOf device: DeviceID) async throws(PostgresError) -> RunID? {
        try await query(
            "SELECT run_id FROM hsafa.tool_calls WHERE tenant_id = \(tenantID) AND call_id = \(call) AND device_id = \(device)"
        ).first.map { row throws(PostgresError) in try row.decode(0) }
    }

    /// Calls that this device was asked and has not answered.
    public func openCalls(of device: DeviceID, limit: Int) async throws(PostgresError) -> [(runID: RunID, callID: CallID)] {
        try await query(
            """
            SELECT run_id, call_id FROM hsafa.tool_calls
            WHERE tenant_id = \(tenantID) AND device_id = \(device) AND status = 'dispatched' LIMIT \(limit)
            """
        ).mapRows { row throws(PostgresError) in (try row.decode(0), try row.decode(1)) }
    }
}
