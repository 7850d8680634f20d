import Cryptography
import HsafaClient
import JSON
import NIOHTTP1
import TestContract
import TestSupport
import Testing

/// A device's WebSocket on which a test decides about every frame (RFC 6455 §5). Used by one task at a time.
final class RawSocket {
    enum Frame: Equatable {
        case text([UInt8])
        case close(UInt16, String)
        case pong([UInt8])
    }

    /// The gateway closed while something else was awaited.
    struct Closed: Error {
        let code: UInt16
    }

    private let connection: RawConnection

    private init(_ connection: RawConnection) { self.connection = connection }

    static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    static func handshake(
        protocols: String? = "hsafa.device.v1", upgrade: String? = "websocket", version: String = "13", key: String = RawSocket.key
    ) -> String {
        "GET /devices/connect HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: \(version)\r\nSec-WebSocket-Key: \(key)\r\n"
            + (upgrade.map { "Connection: Upgrade\r\nUpgrade: \($0)\r\n" } ?? "")
            + (protocols.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? "") + "\r\n"
    }

    static func open<R>(_ gateway: TestGateway, _ body: (RawSocket) async throws -> R) async throws -> R {
        try await RawConnection.open(gateway) { connection in
            try await connection.send(handshake())
            let head = try await connection.head()
            try #require(head.status == 101)
            // RFC 6455 §1.3 has this pair of key and answer.
            #expect(head.headers.first(name: "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(head.headers.first(name: "Sec-WebSocket-Protocol") == "hsafa.device.v1")
            return try await body(RawSocket(connection))
        }
    }

    // MARK: Out

    func send(opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, isMasked: Bool = true, reserved: UInt8 = 0) async throws {
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | reserved | opcode]
        let flag: UInt8 = isMasked ? 0x80 : 0
        switch payload.count {
        case ...125: bytes.append(flag | UInt8(payload.count))
        case ...0xFFFF: bytes += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: bytes += [flag | 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
        }
        // A mask of zeros is one too, and a large payload goes out as it is.
        let mask: [UInt8] = isMasked && payload.count <= 0xFFFF ? [0x12, 0x34, 0x56, 0x78] : [0, 0, 0, 0]
        if isMasked { bytes += mask }
        bytes += mask[0] == 0 ? payload : payload.enumerated().map { $1 ^ mask[$0 & 3] }
        try await connection.send(bytes)
    }

    /// - Parameter breaking: why the message does not fit the description, where that is what the test is about.
    func send(_ json: String, breaking reason: StaticString? = nil) async throws {
        if let reason { HeldToContract.leftOut(reason) } else { HeldToContract.frame(Array(json.utf8), .fromDevice) }
        try await send(opcode: 1, Array(json.utf8))
    }

    // MARK: In

    func frame() async throws -> Frame {
        let head = try await connection.take(2)
        #expect(head[0] & 0xF0 == 0x80)
        #expect(head[1] & 0x80 == 0)
        let extended = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0
        let count = extended == 0 ? Int(head[1]) : try await connection.take(extended).reduce(0) { $0 << 8 | Int($1) }
        let payload = try await connection.take(count)
        switch head[0] & 0x0F {
        case 0x8:
            try? await send(opcode: 8, Array(payload.prefix(2)))
            HeldToContract.close(UInt16(payload[0]) << 8 | UInt16(payload[1]))
            return .close(UInt16(payload[0]) << 8 | UInt16(payload[1]), String(decoding: payload.dropFirst(2), as: UTF8.self))
        case 0xA: return .pong(payload)
        default:
            HeldToContract.frame(payload, .fromGateway)
            return .text(payload)
        }
    }

    /// The next frame of this type; others before it are dropped.
    func next(_ type: String) async throws -> JSONNode { try await frame(ofEither: [type]) }

    /// The next frame of one of these types; others before it are dropped.
    func frame(ofEither types: Set<String>) async throws -> JSONNode {
        while true {
            switch try await frame() {
            case .text(let bytes):
                let node = try JSONDocument(parsing: bytes).root
                if node["type"]?.string.map(types.contains) == true { return node }
            case .close(let code, _): throw Closed(code: code)
            case .pong: break
            }
        }
    }

    /// The close that the gateway sends, whatever comes before it; then the connection's end.
    func closing() async throws -> UInt16 {
        while true {
            guard case .close(let code, _) = try await frame() else { continue }
            while try await connection.receive() {}
            return code
        }
    }

    // MARK: As a device

    func register(_ device: TestDevice, signedBy other: DeviceKey? = nil) async throws {
        try await send(try device.registration(try await next("device.challenge"), signedBy: other))
    }

    func answer(_ call: String, _ result: String = #""ok""#) async throws {
        try await send(#"{"type":"tool.result","callId":"\#(call)","result":\#(result)}"#)
    }

    /// Whether the answer was taken.
    func isApplied() async throws -> Bool { try await next("tool.result.ack")["applied"]?.bool == true }
}

struct TestDevice: Sendable {
    let id: String
    let key: DeviceKey
    /// What it claims to have.
    var tools = ["fs.read"]

    func registration(_ challenge: JSONNode, signedBy other: DeviceKey? = nil) throws -> String {
        let audience = try #require(challenge["audience"]?.string)
        #expect(audience == TestGateway.audience)
        let signature = try (other ?? key).connectSignature(
            audience: audience, deviceId: id, nonce: try #require(challenge["nonce"]?.string),
            ts: try #require(challenge["ts"]?.string))
        let claims = tools.map { #"{"name":"\#($0)"}"# }.joined(separator: ",")
        return
            #"{"type":"device.register","deviceId":"\#(id)","signature":"\#(signature)","capabilities":{"tools":[\#(claims)]}}"#
    }

    /// Connects to this gateway and registers.
    func connected<R>(_ gateway: TestGateway, _ body: (RawSocket) async throws -> R) async throws -> R {
        try await RawSocket.open(gateway) { socket in
            try await socket.register(self)
            let registered = try await socket.next("device.registered")
            #expect(registered["deviceId"]?.string == id)
            return try await body(socket)
        }
    }
}

extension TestTenant {
    func device(_ name: String = "laptop") async throws -> TestDevice {
        let key = try DeviceKey()
        SuiteLog.noteSecret(Base64URL.encode(key.privateKey.rawRepresentation))
        let body = #"{"publicKey":"\#(key.publicKey)","deviceKey":"\#(name)","labels":{"zone":"lab"}}"#
        let answer = try await send("POST", "/api/devices", body)
        try #require(answer.status == 201, "\(answer.text)")
        return TestDevice(id: try answer.string("deviceId"), key: key)
    }

    /// A run that asks a device of this tenant for `fs.read`.
    func deviceRun(_ name: String = "tester") async throws -> String {
        try await run(
            name, steps: [#"{"toolCalls":[{"name":"fs.read","arguments":{"path":"a"}}]}"#, Config.tellsResult], tools: [Config.device])
    }
}
