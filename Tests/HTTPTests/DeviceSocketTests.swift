import Domain
import HsafaClient
import JSON
import Runtime
import TestSupport
import Testing

/// The socket below the calls: handshake, frames, registration.
@Suite(.timeLimit(.minutes(5)))
struct DeviceSocketTests {
    @Test func `a handshake that is none is told what it lacks`() async throws {
        let gateway = try await TestGateway.shared.value
        let handshakes = [
            (RawSocket.handshake(protocols: nil), 400, "subprotocol_required"),
            (RawSocket.handshake(protocols: "chat, hsafa.device.v2"), 400, "subprotocol_required"),
            (RawSocket.handshake(upgrade: nil), 400, "invalid_handshake"),
            (RawSocket.handshake(upgrade: "h2c"), 400, "invalid_handshake"),
            (RawSocket.handshake(key: "short"), 400, "invalid_handshake"),
            (RawSocket.handshake(version: "8"), 426, "upgrade_required"),
        ]
        for (handshake, status, code) in handshakes {
            let answer = try await RawConnection.open(gateway) { connection in
                try await connection.send(handshake)
                return try await connection.answer()
            }
            try answer.expectProblem(status, code)
            if status == 426 { #expect(answer.header("Sec-WebSocket-Version") == "13") }
        }
    }

    @Test(arguments: [
        ("an unmasked frame", 1002), ("a binary frame", 1003), ("text that is not UTF-8", 1007), ("a frame over the bound", 1009),
        ("reserved bits", 1002), ("a ping in fragments", 1002), ("a continuation of nothing", 1002),
    ])
    func `a frame that breaks the protocol closes the socket with its code`(_ what: String, _ code: Int) async throws {
        try await RawSocket.open(try await TestGateway.shared.value) { socket async throws in
            _ = try await socket.next("device.challenge")
            switch what {
            case "an unmasked frame": try await socket.send(opcode: 1, Array(#"{"type":"ping"}"#.utf8), isMasked: false)
            case "a binary frame": try await socket.send(opcode: 2, [1, 2, 3])
            case "text that is not UTF-8": try await socket.send(opcode: 1, [0x22, 0xFF, 0x22])
            case "a frame over the bound":
                try await socket.send(opcode: 1, Array(repeating: 0x20, count: Limits.maxFrameBytesBeforeRegistration + 1))
            case "reserved bits": try await socket.send(opcode: 1, Array(#"{"type":"ping"}"#.utf8), reserved: 0x40)
            case "a ping in fragments": try await socket.send(opcode: 9, [1], isFinal: false)
            default: try await socket.send(opcode: 0, [0x20])
            }
            #expect(try await socket.closing() == UInt16(code))
        }
    }

    @Test func `pings are answered, of the protocol and of the application`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.device().connected(tenant.gateway) { socket async throws in
            try await socket.send(opcode: 9, [1, 2, 3])
            #expect(try await socket.frame() == .pong([1, 2, 3]))
            try await socket.send(#"{"type":"ping","ts":"2026-01-01T00:00:00.000Z"}"#)
            #expect(try await socket.next("pong")["ts"]?.string == "2026-01-01T00:00:00.000Z")
        }
    }

    @Test func `a message may come in fragments, with a ping between them`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        try await RawSocket.open(tenant.gateway) { socket async throws in
            let message = Array(try device.registration(try await socket.next("device.challenge")).utf8)
            try await socket.send(opcode: 1, Array(message[..<10]), isFinal: false)
            try await socket.send(opcode: 9, [])
            try await socket.send(opcode: 0, Array(message[10..<20]), isFinal: false)
            try await socket.send(opcode: 0, Array(message[20...]))
            #expect(try await socket.frame() == .pong([]))
            #expect(try await socket.next("device.registered")["maxFrameBytes"]?.int == Limits.maxDeviceFrameBytes)
        }
        #expect(
            try await tenant.send("GET", "/api/devices/\(device.id)").json()["capabilities"]?.rawJSON.string.contains("fs.read") == true)
    }

    @Test func `a signature that is not the device's, and a device that is not there, are the same 4401`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        let stranger = TestDevice(id: unknownID(), key: try DeviceKey())
        for (device, key) in [(device, try DeviceKey()), (stranger, stranger.key)] {
            try await RawSocket.open(tenant.gateway) { socket async throws in
                try await socket.register(device, signedBy: key)
                let error = try await socket.next("error")
                #expect(error["code"]?.string == "unauthorized")
                #expect(error["retryable"]?.bool == false)
                #expect(try await socket.closing() == DeviceCloseCode.unauthorized)
            }
        }
    }

    @Test func `a socket that does not register in time is closed`() async throws {
        #expect(GatewayIntervals().deviceRegistration == .seconds(Limits.registrationSeconds), "the time that devices are told")
        let gateway = try await TestGateway.running(in: try await .fresh()) { $0.intervals.deviceRegistration = .milliseconds(500) }
        let start = ContinuousClock.now
        try await RawSocket.open(gateway) { socket async throws in
            #expect(try await socket.closing() == DeviceCloseCode.registrationTimeout)
        }
        #expect(ContinuousClock.now - start >= .milliseconds(400))
    }

    @Test func `frames of no meaning are answered, and too many of them end the socket`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.device().connected(tenant.gateway) { socket async throws in
            for (frame, code) in [
                ("{", "malformed_frame"), (#"{"type":"odd"}"#, "unknown_type"), (#"{"type":"ping","x":1}"#, "malformed_frame"),
            ] {
                try await socket.send(frame, breaking: "the error is what is tested")
                #expect(try await socket.next("error")["code"]?.string == code)
            }
            for _ in 0..<20 { try? await socket.send("{", breaking: "so that there are too many") }
            #expect(try await socket.closing() == DeviceCloseCode.protocolViolation)
        }
    }

    @Test func `a second connect of a device takes over from the first`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        try await device.connected(tenant.gateway) { first async throws in
            try await device.connected(tenant.gateway) { second async throws in
                #expect(try await first.closing() == DeviceCloseCode.takenOver)
                try await second.send(#"{"type":"ping"}"#)
                _ = try await second.next("pong")
                #expect(try await tenant.client.devices.get(device.id).isOnline == true)
            }
        }
        let sessions = try await tenant.send("GET", "/api/devices/\(device.id)/sessions").json()["data"]
        #expect(sessions?.count == 2)
    }

    @Test func `a revoked device is closed at once and does not come back`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        try await device.connected(tenant.gateway) { socket async throws in
            #expect(try await tenant.send("DELETE", "/api/devices/\(device.id)").status == 204)
            #expect(try await socket.closing() == DeviceCloseCode.revoked)
        }
        try await RawSocket.open(tenant.gateway) { socket async throws in
            try await socket.register(device)
            #expect(try await socket.next("error")["code"]?.string == "revoked")
            #expect(try await socket.closing() == DeviceCloseCode.revoked)
        }
        #expect(try await tenant.client.devices.get(device.id).status == "revoked")
        // It is over, and not gone: who looks into what it did finds its connections.
        let isTold = try await eventually {
            let sessions = try await tenant.send("GET", "/api/devices/\(device.id)/sessions").data()
            return sessions.first?["closeReason"]?.string == "revoked"
        }
        #expect(isTold)
    }

    @Test func `a device enrols with a token, waits for its approval, and connects`() async throws {
        let tenant = try await TestTenant.make()
        let token = try await tenant.client.enrollmentTokens.create(labels: [("zone", "lab")])
        #expect(token.audience == TestGateway.audience)
        let device = TestDeviceSeed(key: try DeviceKey())
        let enrolled = try await device.enroll(tenant, token)
        #expect(enrolled.status == 201)
        #expect(try enrolled.string("status") == "pending")
        let id = try enrolled.string("deviceId")
        // The same device asking again gets the same answer; another does not.
        let again = try await device.enroll(tenant, token)
        #expect(again.status == 200)
        #expect(try again.string("deviceId") == id)
        #expect(try await TestDeviceSeed(key: try DeviceKey()).enroll(tenant, token).status == 409)
        let pending = TestDevice(id: id, key: device.key)
        try await RawSocket.open(tenant.gateway) { socket async throws in
            try await socket.register(pending)
            #expect(try await socket.next("error")["code"]?.string == "device_pending")
            #expect(try await socket.closing() == DeviceCloseCode.unauthorized)
        }
        for (status, count) in [("pending", 1), ("active", 0), ("revoked", 0)] {
            #expect(try await tenant.client.devices.list(status: status).items.count == count, "\(status)")
        }
        try await tenant.send("GET", "/api/devices?status=lost").expectProblem(400, "invalid_query")
        for _ in 0..<2 { #expect(try await tenant.send("POST", "/api/devices/\(id)/approve").string("status") == "active") }
        try await pending.connected(tenant.gateway) { _ in }
    }
}

/// A device before its enrolment.
struct TestDeviceSeed {
    let key: DeviceKey

    func enroll(_ tenant: TestTenant, _ token: NewEnrollmentToken) async throws -> Answer {
        let signature = try key.enrollmentSignature(audience: token.audience, tokenId: token.tokenId, deviceKey: "seed")
        return try await tenant.gateway.client(key: nil).send(
            "POST", "/api/devices/enroll",
            #"{"token":"\#(token.token)","publicKey":"\#(key.publicKey)","deviceKey":"seed","signature":"\#(signature)"}"#)
    }
}
