import Cryptography
import Domain
import JSON

/// A device on its socket (RFC 6455), as little of it as a measurement needs: it registers, and hands calls to `onCall`.
final class Device: Socket {
    private let id: String
    private let key: Ed25519.PrivateKey
    private let onCall: (Device, String, Int64) -> Void
    private var pending: [UInt8] = []
    private var isUpgraded = false
    private(set) var isRegistered = false
    private(set) var failure: String?

    /// Enrols, then connects.
    static func enrolled(_ api: API, _ onCall: @escaping (Device, String, Int64) -> Void) throws -> Device {
        let token = try api.call("POST", "/api/devices/enrollment-tokens", #"{"labels":{"zone":"bench"},"autoApprove":true}"#)
        guard let secret = token["token"]?.string, let tokenID = token["tokenId"]?.string, let audience = token["audience"]?.string else {
            throw BenchError("no enrolment token")
        }
        let key = try Ed25519.PrivateKey()
        let publicKey = Base64URL.encode(key.publicKey.rawRepresentation)
        let proof = DeviceProof.enrollment(audience: audience, tokenID: tokenID, publicKey: publicKey, deviceKey: "bench")
        let signature = Base64URL.encode(try key.sign(proof))
        let id = try api.string(
            "POST", "/api/devices/enroll",
            "{\"token\":\"\(secret)\",\"publicKey\":\"\(publicKey)\",\"deviceKey\":\"bench\",\"signature\":\"\(signature)\"}", "deviceId")
        return try Device(api.poller, port: api.port, id: id, key: key, onCall)
    }

    private init(
        _ poller: Poller, port: Int, id: String, key: Ed25519.PrivateKey, _ onCall: @escaping (Device, String, Int64) -> Void
    ) throws {
        (self.id, self.key, self.onCall) = (id, key, onCall)
        try super.init(poller, port: port)
        let nonce = Base64.encode(SecureRandom.bytes(16))
        send(
            """
            GET /devices/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r
            Sec-WebSocket-Key: \(nonce)\r\nSec-WebSocket-Protocol: hsafa.device.v1\r\n\r\n
            """.utf8)
    }

    func answer(_ callID: String) { write("{\"type\":\"tool.result\",\"callId\":\"\(callID)\",\"result\":{\"ok\":true}}") }

    override func received(_ received: UnsafeRawBufferPointer) {
        let now = Clock.realtime()
        pending.append(contentsOf: received)
        if !isUpgraded {
            guard let end = pending.indices.first(where: { pending[$0...].starts(with: [13, 10, 13, 10]) }) else { return }
            guard pending.starts(with: "HTTP/1.1 101".utf8) else { return fail("the gateway refused the device's socket") }
            pending.removeFirst(end + 4)
            isUpgraded = true
        }
        while let (opcode, text) = nextFrame() { handle(opcode, text, now) }
    }

    override func ended() { fail("the gateway closed the device's socket") }

    private func fail(_ reason: String) {
        failure = reason
        disconnect()
    }

    /// Frames of a server are not masked; the gateway sends each message in one.
    private func nextFrame() -> (opcode: UInt8, text: [UInt8])? {
        guard pending.count >= 2 else { return nil }
        var header = 2
        var length = Int(pending[1] & 0x7F)
        let extended = length == 126 ? 2 : length == 127 ? 8 : 0
        guard pending.count >= header + extended else { return nil }
        if extended > 0 { length = pending[2..<2 + extended].reduce(0) { $0 << 8 | Int($1) } }
        header += extended
        guard pending.count >= header + length else { return nil }
        let frame = (pending[0] & 0x0F, Array(pending[header..<header + length]))
        pending.removeFirst(header + length)
        return frame
    }

    private func handle(_ opcode: UInt8, _ text: [UInt8], _ now: Int64) {
        guard opcode == 1 else {
            if opcode == 9 { write(String(decoding: text, as: UTF8.self), opcode: 10) }
            return
        }
        guard let message = try? JSONDocument(parsing: text).root, let type = message["type"]?.string else {
            return fail("no JSON in a frame")
        }
        switch type {
        case "device.challenge": register(message)
        case "device.registered": isRegistered = true
        case "tool.call.request": onCall(self, message["callId"]?.string ?? "", now)
        case "ping": write("{\"type\":\"pong\"}")
        case "error": fail(String(decoding: text, as: UTF8.self))
        default: break
        }
    }

    private func register(_ challenge: JSONNode) {
        let proof = DeviceProof.connection(
            audience: challenge["audience"]?.string ?? "", deviceID: id, nonce: challenge["nonce"]?.string ?? "",
            timestamp: challenge["ts"]?.string ?? "")
        guard let signature = try? key.sign(proof) else { return fail("the challenge could not be signed") }
        write(
            """
            {"type":"device.register","deviceId":"\(id)","signature":"\(Base64URL.encode(signature))","capabilities":{"tools":[{"name":"uname"}]}}
            """)
    }

    private func write(_ text: String, opcode: UInt8 = 1) {
        let payload = Array(text.utf8)
        let mask: [UInt8] = [0x5A, 0xC3, 0x17, 0x88]
        var frame: [UInt8] = [0x80 | opcode]
        if payload.count < 126 {
            frame.append(0x80 | UInt8(payload.count))
        } else {
            frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        }
        frame += mask
        for (index, byte) in payload.enumerated() { frame.append(byte ^ mask[index & 3]) }
        send(frame)
    }
}
