public import Domain
import JSON
import Logging
import Redis
public import Storage

public struct EnrollmentTokenIssued: Sendable {
    /// Public; what the device signs.
    public let tokenID: String
    /// Shown this once.
    public let token: String
    public let audience: String
    public let expiresAt: Timestamp
}

/// Devices as their tenant sees them, and their enrolment.
public struct DeviceService: Sendable {
    let configuration: GatewayConfiguration
    let database: Database
    let redis: RedisClient
    let hub: DeviceHub
    let runs: RunService
    /// Wrong tokens and proofs by address, apart from wrong keys: neither locks the other out.
    let failures: FailureLimiter

    init(configuration: GatewayConfiguration, database: Database, redis: RedisClient, hub: DeviceHub, runs: RunService) {
        self.configuration = configuration
        self.database = database
        self.redis = redis
        self.hub = hub
        self.runs = runs
        failures = FailureLimiter(most: configuration.failuresPerAddress, perSecond: configuration.failuresPerAddressPerSecond)
    }

    var onlineSeconds: Double { DeviceHub.onlineSeconds(configuration) }

    // MARK: Read

    public func list(_ scope: TenantScope, _ page: PageRequest, status: DeviceStatus? = nil) async throws -> Page<DeviceRecord> {
        let rows = try await database.tenant(scope).devices(
            status: status, limit: page.limit + 1, after: try page.after(DeviceID.self), onlineSeconds: onlineSeconds)
        return Page(rows: rows, limit: page.limit) { $0.deviceID.description }
    }

    public func get(_ scope: TenantScope, _ id: DeviceID) async throws -> DeviceRecord {
        guard let device = try await database.tenant(scope).device(id, onlineSeconds: onlineSeconds) else {
            throw GatewayError.notFound("device")
        }
        return device
    }

    public func sessions(_ scope: TenantScope, _ id: DeviceID, _ page: PageRequest) async throws -> Page<DeviceSessionRecord> {
        _ = try await get(scope, id)
        let rows = try await database.tenant(scope).sessions(
            of: id, limit: page.limit + 1, after: try page.after(DeviceSessionID.self))
        return Page(rows: rows, limit: page.limit) { $0.sessionID.description }
    }

    // MARK: Change

    /// A device whose key somebody with `devices:write` vouches for: active at once, no token. `publicKey` is base64url.
    public func register(
        in tenant: TenantDatabase, publicKey: String, deviceKey: String, displayName: String?, platform: String?,
        labels: [String: String], by author: ChangeAuthor
    ) async throws -> DeviceRecord {
        let new = NewDevice(
            deviceKey: try DeviceFields.deviceKey(deviceKey), publicKey: try DeviceFields.publicKey(publicKey),
            displayName: try DeviceFields.text(displayName, "displayName"), platform: try DeviceFields.text(platform, "platform"),
            labels: labels, allowedTools: nil, capabilities: .none, status: .active)
        guard let device = try await tenant.changes(by: author).insertDevice(.generate(), new) else {
            throw DeviceFields.keyTaken(deviceKey)
        }
        return device
    }

    /// Absent leaves as it is; `.some(nil)` clears. What waited for a device like this one may go now.
    public func update(
        _ scope: TenantScope, _ id: DeviceID, displayName: String??, labels: [String: String]?, allowedTools: [String]??,
        by author: ChangeAuthor
    ) async throws -> DeviceRecord {
        if let displayName { _ = try DeviceFields.text(displayName, "displayName") }
        if let allowedTools { try DeviceFields.checkGlobs(allowedTools) }
        let device = try await database.tenant(scope).changes(by: author).updateDevice(
            id, displayName: displayName, labels: labels, allowedTools: allowedTools, onlineSeconds: onlineSeconds)
        guard let device else { throw GatewayError.notFound("device") }
        if device.isOnline { hub.enqueue(.waiting(scope, id)) }
        return device
    }

    /// Idempotent for an active device; a revoked one stays revoked (409).
    public func approve(_ scope: TenantScope, _ id: DeviceID, by author: ChangeAuthor) async throws -> DeviceRecord {
        let wasPending = try await database.tenant(scope).changes(by: author).approveDevice(id)
        let device = try await get(scope, id)
        guard wasPending || device.status == .active else {
            throw GatewayError.conflict("device_revoked", "This device was revoked; enrol it again with a new token.")
        }
        return device
    }

    /// At once and for good: its socket is closed, and what it was asked and has not answered fails. Idempotent.
    public func revoke(_ scope: TenantScope, _ id: DeviceID, by author: ChangeAuthor) async throws {
        let tenant = database.tenant(scope)
        guard try await tenant.changes(by: author).revokeDevice(id) else { throw GatewayError.notFound("device") }
        hub.revoked(id)
        DeviceNotice.check.publish(to: id, over: redis)
        let outcome = ToolOutcome.failed(
            ToolError(code: "device_revoked", message: "The device was revoked before it answered."), source: .gateway)
        // Nothing is added any more; each round ends what it read. What a failure here leaves open ends by its deadline.
        for _ in 0..<Limits.maxDecisionAttempts {
            let open = try await tenant.openCalls(of: id, limit: Limits.sweepBatch)
            if open.isEmpty { return }
            for (runID, callID) in open {
                _ = try await runs.decide(scope, runID) { RunMachine.record(outcome, of: callID, in: $0) }
            }
        }
    }
}
