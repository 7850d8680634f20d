import Postgres
import Cryptography
import Domain
import JSON
import Redis
import Storage
import TestSupport
import Testing

@testable import Runtime

@Suite("A device's socket")
struct DeviceConnectionTests {
    @Test("A device that proves itself is registered, online and known to Redis, and offline when it has gone")
    func registers() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        try await replica.living {
            let device = try await replica.makeDevice(scope)
            try await replica.connected(device) { (_: TestSocket) async throws in
                let record = try await replica.devices.get(scope, device.id)
                #expect(record.isOnline)
                #expect(record.capabilities.string.contains("\"echo\""))
                let sessions = try await replica.devices.sessions(scope, device.id, PageRequest()).items
                #expect(sessions.count == 1)
                #expect(sessions[0].remoteAddress == "192.0.2.1")
                let presence = try await environment.redis.send(RedisCommand("GET", RedisKeys.devicePresence(device.id)))
                #expect(presence.string == "\(sessions[0].replicaID):\(sessions[0].sessionID)")
            }
            #expect(try await eventually { try await !replica.devices.get(scope, device.id).isOnline })
            #expect(
                try await eventually {
                    try await environment.redis.send(RedisCommand("GET", RedisKeys.devicePresence(device.id))) == .null
                })
            let ended = try await replica.devices.sessions(scope, device.id, PageRequest()).items[0]
            #expect(ended.closeReason == "disconnected")
        }
    }

    @Test("A wrong signature and an unknown device get the same answer and 4401")
    func unauthorized() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        let other = try Ed25519.PrivateKey()
        let wrong = try await refused(replica) { try device.registration($0, signedBy: other) }
        let stranger = TestDevice(id: .generate(), key: other, tools: [])
        let unknown = try await refused(replica) { try stranger.registration($0) }
        #expect(wrong == unknown)
        #expect(wrong.hasPrefix("4401 unauthorized false"))
    }

    private func refused(_ replica: DeviceReplica, _ registration: @escaping @Sendable (JSONNode) throws -> RawJSON) async throws -> String
    {
        try await replica.socket { (socket: TestSocket) async throws in
            socket.send(try registration(try await socket.next("device.challenge")))
            let error = try await socket.next("error")
            let close = try await socket.closing()
            return "\(close.code) \(error["code"]?.string ?? "") \(error["retryable"]?.bool ?? true) \(error["message"]?.string ?? "")"
        }
    }

    @Test("A challenge's proof is good for its own socket alone")
    func replay() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        let recorded = try await replica.socket { (socket: TestSocket) async throws in
            let registration = try device.registration(try await socket.next("device.challenge"))
            socket.send(registration)
            _ = try await socket.next("device.registered")
            return registration
        }
        #expect(try await refused(replica) { _ in recorded }.hasPrefix("4401 unauthorized"))
    }

    @Test("A pending device is told to come again, a revoked one that it is over")
    func notActive() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let (pending, record) = try await EnrollmentTests.enrolled(replica, scope, autoApprove: false)
        #expect(record.status == .pending)
        #expect(try await refused(replica) { try pending.registration($0) }.hasPrefix("4401 device_pending true"))
        #expect(try await replica.devices.approve(scope, pending.id, by: .test).status == .active)
        try await replica.connected(pending) { (_: TestSocket) async throws in }
        try await replica.devices.revoke(scope, pending.id, by: .test)
        #expect(try await refused(replica) { try pending.registration($0) }.hasPrefix("4403 revoked false"))
        await #expect { try await replica.devices.approve(scope, pending.id, by: .test) } throws: { ($0 as? GatewayError)?.status == 409 }
    }

    @Test("The second socket of a device takes over from the first, here and on another replica")
    func takeover() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let (first, second) = (try DeviceReplica(environment), try DeviceReplica(environment))
        let device = try await first.makeDevice(scope)
        try await first.living {
            try await second.living {
                try await first.connected(device) { (one: TestSocket) async throws in
                    try await first.connected(device) { (two: TestSocket) async throws in
                        #expect(try await one.closing() == .init(code: 4409, reason: "taken_over"))
                        try await second.connected(device) { (three: TestSocket) async throws in
                            #expect(try await two.closing() == .init(code: 4409, reason: "taken_over"))
                            #expect(three.closed == nil)
                            #expect(try await first.devices.get(scope, device.id).isOnline)
                        }
                    }
                }
            }
        }
    }

    @Test("A takeover whose notice was lost is found out by the heartbeat")
    func missedTakeover() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.connected(device) { (socket: TestSocket) async throws in
            // As another replica does it, without its word.
            _ = try await environment.database.tenant(scope).openSession(
                .generate(), device: device.id, replica: .generate(), remoteAddress: nil, capabilities: .none)
            // As if the device's next heartbeat were due, on the clock that the hub goes by.
            await replica.hub.beat(at: .now + replica.hub.heartbeat)
            #expect(try await socket.closing().code == 4409)
        }
    }

    @Test("A device that stays silent is closed after two heartbeats; one that answers is kept")
    func heartbeats() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let (silent, lively) = (try await replica.makeDevice(scope), try await replica.makeDevice(scope))
        // The hub does not live: its heart beats when the test says so.
        let heartbeat = replica.hub.heartbeat
        try await replica.connected(silent) { (dead: TestSocket) async throws in
            let start = ContinuousClock.now
            await replica.hub.beat(at: start + heartbeat)
            _ = try await dead.next("ping")
            await replica.hub.beat(at: start + heartbeat * 2)
            _ = try await dead.next("ping")
            #expect(dead.closed == nil)
            await replica.hub.beat(at: .now + heartbeat * 5 / 2 + .milliseconds(1))
            #expect(try await dead.closing() == .init(code: 4410, reason: "heartbeat_missed"))
        }
        try await replica.connected(lively) { (alive: TestSocket) async throws in
            let registered = ContinuousClock.now
            alive.send(RawJSON("{\"type\":\"pong\"}"))
            alive.send(RawJSON("{\"type\":\"ping\",\"ts\":\"2026-01-01T00:00:00.000Z\"}"))
            // The frames before this answer were heard, so silence counts from after `registered`.
            #expect(try await alive.next("pong")["ts"]?.string == "2026-01-01T00:00:00.000Z")
            await replica.hub.beat(at: registered + heartbeat * 5 / 2)
            _ = try await alive.next("ping")
            #expect(alive.closed == nil)
        }
    }

    @Test("A hub that lives finds out by itself who is silent")
    func silence() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment, heartbeatSeconds: 1)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                #expect(try await socket.closing().code == 4410)
            }
        }
    }

    @Test("Ten bad frames are answered, the eleventh closes the socket with 4400")
    func violations() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.connected(device) { (socket: TestSocket) async throws in
            socket.send(RawJSON("{\"type\":\"device.dance\"}"), breaking: "the error is what is tested")
            #expect(try await socket.next("error")["code"]?.string == "unknown_type")
            for bad in ["{", "[]", "{\"type\":\"pong\",\"extra\":1}", "{\"type\":\"tool.result\",\"callId\":\"x\"}"] {
                socket.send(RawJSON(trusted: Array(bad.utf8)), breaking: "the error is what is tested")
                #expect(try await socket.next("error")["code"]?.string == "malformed_frame")
            }
            for _ in 0..<5 { socket.send(RawJSON("{}"), breaking: "so that there are too many") }
            #expect(socket.closed == nil)
            socket.send(RawJSON("{}"), breaking: "so that there are too many")
            #expect(try await socket.closing().code == 4400)
        }
    }

    @Test("Before registration a frame holds 64 KiB")
    func largeFrame() async throws {
        let environment = try await TestEnvironment.start()
        let replica = try DeviceReplica(environment)
        try await replica.socket { (socket: TestSocket) async throws in
            _ = try await socket.next("device.challenge")
            socket.send(
                RawJSON.object { $0.field("type", string: String(repeating: "x", count: 65 * 1024)) }, breaking: "it is over the bound")
            #expect(try await socket.next("error")["code"]?.string == "frame_too_large")
            #expect(try await socket.closing().code == 4400)
        }
    }

    @Test("Shutdown closes every socket with 1001, writes the sessions down and admits nobody")
    func shutdown() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.connected(device) { (socket: TestSocket) async throws in
            try await replica.living {}
            #expect(socket.closed == .init(code: 1001, reason: "going_away"))
            let session = try await replica.devices.sessions(scope, device.id, PageRequest()).items[0]
            #expect(session.closeReason == "going_away")
        }
        let late = TestSocket()
        await replica.hub.serve(late, frames: late.frames)
        #expect(late.closed?.code == 1001)
    }

    @Test("Sessions of a gateway that went without a word end with their last heartbeat")
    func lostSessions() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        let tenant = environment.database.tenant(scope)
        _ = try await tenant.openSession(.generate(), device: device.id, replica: .generate(), remoteAddress: nil, capabilities: .none)
        _ = try await environment.app.query(
            "UPDATE hsafa.device_sessions SET last_heartbeat_at = now() - interval '1 hour' WHERE tenant_id = \(scope.tenantID)",
            scope: scope.tenantID.description)
        #expect(try await !replica.devices.get(scope, device.id).isOnline)
        _ = try await DeviceSessions(environment.database).endSilent(afterSeconds: 300, limit: 1000)
        let session = try await replica.devices.sessions(scope, device.id, PageRequest()).items[0]
        #expect(session.closeReason == "lost")
        #expect(session.disconnectedAt == session.lastHeartbeatAt)
    }
}
