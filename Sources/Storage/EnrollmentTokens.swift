public import Domain
import JSON
public import Postgres

/// What an enrolment token gives to the device that spends it.
public struct EnrollmentGrant: Sendable {
    public let labels: [String: String]
    public let allowedTools: [String]?
    public let isAutoApproved: Bool
    /// The only device that may spend it; nil: any.
    public let deviceKey: String?

    public init(labels: [String: String], allowedTools: [String]?, isAutoApproved: Bool, deviceKey: String?) {
        self.labels = labels
        self.allowedTools = allowedTools
        self.isAutoApproved = isAutoApproved
        self.deviceKey = deviceKey
    }
}

/// A token's row, found before the tenant is known.
public struct EnrollmentTokenRecord: Sendable {
    public let scope: TenantScope
    public let isTenantSuspended: Bool
    public let tokenID: EnrollmentTokenID
    /// SHA-256 of the token's text.
    public let secretHash: [UInt8]
}

/// What a device brings to its enrolment, its proof already checked.
public struct EnrollmentClaim: Sendable {
    public let publicKey: [UInt8]
    public let deviceKey: String
    public let displayName: String?
    public let platform: String?
    public let capabilities: DeviceCapabilities

    public init(publicKey: [UInt8], deviceKey: String, displayName: String?, platform: String?, capabilities: DeviceCapabilities) {
        self.publicKey = publicKey
        self.deviceKey = deviceKey
        self.displayName = displayName
        self.platform = platform
        self.capabilities = capabilities
    }
}

public enum EnrollmentAnswer: Sendable {
    case enrolled(DeviceRecord)
    /// This device has spent this token before.
    case known(DeviceRecord)
    case spent, expired, keyTaken
    /// The token is for another device key.
    case keyMismatch
}

extension Database {
    public func enrollmentToken(publicID: String) async throws(PostgresError) -> EnrollmentTokenRecord? {
        let rows = try await unscoped(
            "SELECT tenant_id, slug, tenant_status, token_id, secret_hash FROM hsafa.find_enrollment_token(\(publicID))")
        guard let row = rows.first else { return nil }
        return EnrollmentTokenRecord(
            scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
            isTenantSuspended: try row.decode(2, as: String.self) != "active", tokenID: try row.decode(3),
            secretHash: try row.decode(4, as: PostgresBytea.self).bytes)
    }
}

extension TenantChanges {
    /// When it expires.
    public func insertEnrollmentToken(
        _ id: EnrollmentTokenID, publicID: String, secretHash: [UInt8], grant: EnrollmentGrant, expiresSeconds: Int
    ) async throws(PostgresError) -> Timestamp {
        let entry = AuditEntry(.enrollmentTokenCreate, id) { writer in
            writer.field("labels", raw: Labels.json(grant.labels))
            writer.field("autoApprove", bool: grant.isAutoApproved)
            writer.field("deviceKey", stringIfPresent: grant.deviceKey)
            writer.field("expiresSeconds", int: expiresSeconds)
        }
        let rows = try await write(
            entry,
            """
            INSERT INTO hsafa.enrollment_tokens
                (tenant_id, token_id, public_id, secret_hash, labels, allowed_tools, auto_approve, device_key, expires_at)
            VALUES (\(tenantID), \(id), \(publicID), \(PostgresBytea(secretHash)), \(Labels.json(grant.labels).jsonb),
                \(grant.allowedTools), \(grant.isAutoApproved), \(grant.deviceKey), now() + make_interval(secs => \(expiresSeconds)))
            RETURNING expires_at
            """)
        guard let row = rows.first else { throw PostgresError(.decoding, "the inserted token gave no row") }
        return try row.decode(0)
    }

    /// Spends the token and writes the device, both or neither. The token's row is locked, so that two devices with one token
    /// come one after the other, and the second finds it spent.
    public func enroll(
        _ id: DeviceID, token: EnrollmentTokenID, _ claim: EnrollmentClaim, onlineSeconds: Double
    ) async throws -> EnrollmentAnswer {
        let tenantID = tenantID
        return try await database.withTransaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT labels, allowed_tools, auto_approve, device_key, expires_at <= now(), used_by_device_id
                FROM hsafa.enrollment_tokens WHERE tenant_id = \(tenantID) AND token_id = \(token) FOR NO KEY UPDATE
                """)
            guard let row = rows.first else { return .spent }
            if let user = try row.decode(5, as: DeviceID?.self) {
                return try await Self.repeated(user, claim, tenantID, onlineSeconds, transaction)
            }
            if try row.decode(4, as: Bool.self) { return .expired }
            let pinned = try row.decode(3, as: String?.self)
            if let pinned, pinned != claim.deviceKey { return .keyMismatch }
            let new = NewDevice(
                deviceKey: claim.deviceKey, publicKey: claim.publicKey, displayName: claim.displayName, platform: claim.platform,
                labels: try TenantDatabase.labels(row, 0), allowedTools: try row.decode(1), capabilities: claim.capabilities,
                status: try row.decode(2) ? .active : .pending)
            guard let inserted = try await transaction.query(TenantDatabase.insertDevice(id, new, tenantID)).first else { return .keyTaken }
            _ = try await transaction.query(
                """
                UPDATE hsafa.enrollment_tokens SET used_at = now(), used_by_device_id = \(id)
                WHERE tenant_id = \(tenantID) AND token_id = \(token) AND used_at IS NULL
                """)
            let entry = AuditEntry(.deviceEnroll, id) { writer in
                writer.field("deviceKey", string: new.deviceKey)
                writer.field("status", string: new.status.rawValue)
            }
            _ = try await transaction.query(insert(entry))
            return .enrolled(try TenantDatabase.device(inserted))
        }
    }

    /// The same device gets the same answer; a device that was revoked since must bring a new token.
    private static func repeated(
        _ user: DeviceID, _ claim: EnrollmentClaim, _ tenantID: TenantID, _ onlineSeconds: Double, _ transaction: PostgresTransaction
    ) async throws -> EnrollmentAnswer {
        let part = TenantDatabase.deviceColumns(onlineSeconds: onlineSeconds)
        let rows = try await transaction.query(
            """
            SELECT \(unsafeSQL: part.columns) FROM hsafa.devices d \(unsafeSQL: part.lastSession)
            WHERE d.tenant_id = \(tenantID) AND d.device_id = \(user)
            """)
        guard let row = rows.first else { return .spent }
        let device = try TenantDatabase.device(row)
        guard device.deviceKey == claim.deviceKey, device.publicKey == claim.publicKey, device.status != .revoked else { return .spent }
        return .known(device)
    }
}
