public import Domain
public import JSON
public import Postgres

public struct DeviceRecord: Sendable {
    public let deviceID: DeviceID
    /// The name that the device keeps for life.
    public let deviceKey: String
    /// Ed25519, 32 bytes.
    public let publicKey: [UInt8]
    public let displayName: String?
    public let platform: String?
    public let labels: [String: String]
    /// Globs over tool names; nil leaves it to policy alone.
    public let allowedTools: [String]?
    /// What the device said at its last registration: claims, not rights.
    public let capabilities: RawJSON
    public let status: DeviceStatus
    public let createdAt: Timestamp
    public let lastSeenAt: Timestamp?
    /// Some gateway holds its socket, and heard of it lately.
    public let isOnline: Bool
}

/// A device that is to be written; `status` is what it begins with.
public struct NewDevice: Sendable {
    public let deviceKey: String
    public let publicKey: [UInt8]
    public let displayName: String?
    public let platform: String?
    public let labels: [String: String]
    public let allowedTools: [String]?
    public let capabilities: DeviceCapabilities
    public let status: DeviceStatus

    public init(
        deviceKey: String, publicKey: [UInt8], displayName: String?, platform: String?, labels: [String: String],
        allowedTools: [String]?, capabilities: DeviceCapabilities, status: DeviceStatus
    ) {
        self.deviceKey = deviceKey
        self.publicKey = publicKey
        self.displayName = displayName
        self.platform = platform
        self.labels = labels
        self.allowedTools = allowedTools
        self.capabilities = capabilities
        self.status = status
    }
}

/// What a device claims, checked and in canonical form, and the names of its tools beside it for look-ups.
public struct DeviceCapabilities: Sendable {
    public let json: RawJSON
    public let toolNames: [String]

    public init(json: RawJSON, toolNames: [String]) {
        self.json = json
        self.toolNames = toolNames
    }

    public static let none = DeviceCapabilities(json: RawJSON("{\"tools\":[]}"), toolNames: [])
}

extension TenantDatabase {
    /// Ends with the last session, for what it says about life. Every statement that uses it names the devices `d`.
    static func deviceColumns(onlineSeconds: Double) -> SQLFragment {
        SQLFragment(
            columns: """
                d.device_id, d.device_key, d.public_key, d.display_name, d.platform, d.labels, d.allowed_tools, d.capabilities,
                d.status, d.created_at, greatest(d.last_seen_at, s.last_heartbeat_at),
                coalesce(d.status = 'active' AND s.disconnected_at IS NULL
                    AND s.last_heartbeat_at > now() - make_interval(secs => \(onlineSeconds)), false)
                """,
            lastSession: """
                LEFT JOIN LATERAL (
                    SELECT x.last_heartbeat_at, x.disconnected_at FROM hsafa.device_sessions x
                    WHERE x.tenant_id = d.tenant_id AND x.device_id = d.device_id ORDER BY x.connected_at DESC LIMIT 1) s ON true
                """)
    }

    /// Newest first. Device ids carry their time, so the page's key is the id.
    public func devices(status: DeviceStatus?, limit: Int, after: DeviceID?, onlineSeconds: Double) async throws(PostgresError)
        -> [DeviceRecord]
    {
        let part = Self.deviceColumns(onlineSeconds: onlineSeconds)
        return try await query(
            """
            SELECT \(unsafeSQL: part.columns) FROM hsafa.devices d \(unsafeSQL: part.lastSession)
            WHERE d.tenant_id = \(tenantID) AND (\(after)::uuid IS NULL OR d.device_id < \(after))
                AND (\(status?.rawValue)::text IS NULL OR d.status = \(status?.rawValue))
            ORDER BY d.device_id DESC LIMIT \(limit)
            """, lane: .list
        ).mapRows(Self.device)
    }

    public func device(_ id: DeviceID, onlineSeconds: Double) async throws(PostgresError) -> DeviceRecord? {
        let part = Self.deviceColumns(onlineSeconds: onlineSeconds)
        return try await query(
            """
            SELECT \(unsafeSQL: part.columns) FROM hsafa.devices d \(unsafeSQL: part.lastSession)
            WHERE d.tenant_id = \(tenantID) AND d.device_id = \(id)
            """
        ).first.map(Self.device)
    }

    /// A new device has no session: hence the constants in place of its columns.
    static func insertDevice(_ id: DeviceID, _ new: NewDevice, _ tenantID: TenantID) -> SQL {
        """
        INSERT INTO hsafa.devices AS d (tenant_id, device_id, device_key, public_key, display_name, platform, labels, allowed_tools,
            capabilities, tool_names, status)
        VALUES (\(tenantID), \(id), \(new.deviceKey), \(PostgresBytea(new.publicKey)), \(new.displayName), \(new.platform),
            \(Labels.json(new.labels).jsonb), \(new.allowedTools), \(new.capabilities.json.jsonb), \(new.capabilities.toolNames),
            \(new.status.rawValue))
        ON CONFLICT (tenant_id, device_key) WHERE status <> 'revoked' DO NOTHING
        RETURNING d.device_id, d.device_key, d.public_key, d.display_name, d.platform, d.labels, d.allowed_tools, d.capabilities,
            d.status, d.created_at, d.last_seen_at, false
        """
    }

    static func device(_ row: PostgresRow) throws(PostgresError) -> DeviceRecord {
        DeviceRecord(
            deviceID: try row.decode(0), deviceKey: try row.decode(1), publicKey: try row.decode(2, as: PostgresBytea.self).bytes,
            displayName: try row.decode(3), platform: try row.decode(4), labels: try labels(row, 5), allowedTools: try row.decode(6),
            capabilities: try row.decode(7), status: try row.decodeCase(8), createdAt: try row.decode(9),
            lastSeenAt: try row.decode(10), isOnline: try row.decode(11))
    }

    static func labels(_ row: PostgresRow, _ column: Int) throws(PostgresError) -> [String: String] {
        let json = try row.decode(column, as: RawJSON.self)
        guard let root = (try? json.document())?.root else { throw PostgresError(.decoding, "labels hold no JSON object") }
        return Dictionary(root.members.compactMap { name, value in value.string.map { (name, $0) } }) { first, _ in first }
    }
}

/// Parts of statements that read devices. `onlineSeconds` is a number of ours: nothing from outside enters the text.
struct SQLFragment {
    let columns: String
    let lastSession: String
}
