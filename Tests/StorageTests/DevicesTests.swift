import Domain
import JSON
import Redis
import Storage
import TestSupport
import Testing

@Suite("Devices in storage")
struct DevicesTests {
    private func makeDevice(_ environment: TestEnvironment, _ scope: TenantScope, key: String) async throws -> DeviceRecord {
        try #require(
            try await environment.database.tenant(scope).changes(by: .test).insertDevice(
                .generate(),
                NewDevice(
                    deviceKey: key, publicKey: Array(repeating: 7, count: 32), displayName: nil, platform: nil, labels: ["zone": "lab"],
                    allowedTools: nil, capabilities: .none, status: .active)))
    }

    @Test("Sessions of one device that open at once leave exactly one open")
    func sessionsRace() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let device = try await makeDevice(environment, scope, key: "racer")
        let tenant = environment.database.tenant(scope)
        let replaced = try await withThrowingTaskGroup(of: [DeviceSessionID].self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try #require(
                        try await tenant.openSession(
                            .generate(), device: device.deviceID, replica: .generate(), remoteAddress: nil, capabilities: .none))
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let sessions = try await tenant.sessions(of: device.deviceID, limit: 100, after: nil)
        #expect(sessions.count == 16)
        #expect(sessions.filter { $0.disconnectedAt == nil }.count == 1)
        #expect(Set(replaced) == Set(sessions.filter { $0.closeReason == "taken_over" }.map(\.sessionID)))
    }

    @Test("A device that is not active opens no session")
    func inactive() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let device = try await makeDevice(environment, scope, key: "gone")
        let tenant = environment.database.tenant(scope)
        #expect(try await tenant.changes(by: .test).revokeDevice(device.deviceID))
        let opened = try await tenant.openSession(
            .generate(), device: device.deviceID, replica: .generate(), remoteAddress: nil, capabilities: .none)
        #expect(opened == nil)
    }

    @Test("A heartbeat says which sessions are open and why the others are not")
    func renewal() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let device = try await makeDevice(environment, scope, key: "beating")
        let tenant = environment.database.tenant(scope)
        let (first, second) = (DeviceSessionID.generate(), DeviceSessionID.generate())
        for session in [first, second] {
            _ = try await tenant.openSession(
                session, device: device.deviceID, replica: .generate(), remoteAddress: nil, capabilities: .none)
        }
        let sessions = DeviceSessions(environment.database)
        let renewals = try await sessions.renew([(scope.tenantID, first), (scope.tenantID, second), (scope.tenantID, .generate())])
        #expect(renewals.count == 2)
        let (old, new) = (try #require(renewals.first { $0.sessionID == first }), try #require(renewals.first { $0.sessionID == second }))
        #expect(!old.isOpen)
        #expect(old.closeReason == "taken_over")
        #expect(new.isOpen)
        try await sessions.end([(scope.tenantID, second, "disconnected"), (scope.tenantID, first, "late")])
        let rows = try await tenant.sessions(of: device.deviceID, limit: 10, after: nil)
        #expect(Set(rows.map(\.closeReason)) == ["taken_over", "disconnected"])
    }

    @Test("Presence is renewed and removed by its own session alone, and comes back after Redis lost it")
    func presence() async throws {
        let environment = try await TestEnvironment.start()
        let (device, older, newer) = (DeviceID.generate(), DeviceSessionID.generate(), DeviceSessionID.generate())
        let replica = ReplicaID.generate()
        let presence = DevicePresence(redis: environment.redis, replicaID: replica)
        let key = RedisKeys.devicePresence(device)
        func value() async throws -> String? { try await environment.redis.send(RedisCommand("GET", key)).string }
        presence.set(device, session: older)
        presence.set(device, session: newer)
        try await presence.renew([(device, older)])
        #expect(try await value() == "\(replica):\(newer)")
        try await presence.remove([(device, older)])
        #expect(try await value() == "\(replica):\(newer)")
        _ = try await environment.redis.send(RedisCommand("DEL", key))
        try await presence.renew([(device, newer)])
        #expect(try await value() == "\(replica):\(newer)")
        let seconds = try #require(try await environment.redis.send(RedisCommand("TTL", key)).int)
        #expect((1...Limits.presenceSeconds).contains(seconds))
        try await presence.remove([(device, newer)])
        #expect(try await value() == nil)
    }
}
