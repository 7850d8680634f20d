import Cryptography
import Domain
import JSON
import Synchronization
import TestContract
import TestSupport
import Testing

@testable import Runtime

struct TestDevice: Sendable {
    let id: DeviceID
    let key: Ed25519.PrivateKey
    let tools: [String]

    func registration(_ challenge: JSONNode, signedBy other: Ed25519.PrivateKey? = nil) throws -> RawJSON {
        let proof = DeviceProof.connection(
            audience: try #require(challenge["audience"]?.string), deviceID: id.description,
            nonce: try #require(challenge["nonce"]?.string), timestamp: try #require(challenge["ts"]?.string))
        let signature = Base64URL.encode(try (other ?? key).sign(proof))
        return RawJSON.object { writer in
            writer.field("type", string: "device.register")
            writer.field("deviceId", string: id.description)
            writer.field("signature", string: signature)
            writer.key("capabilities")
            writer.beginObject()
            writer.key("tools")
            writer.beginArray()
            for tool in tools { writer.raw(RawJSON.object { $0.field("name", string: tool) }) }
            writer.endArray()
            writer.endObject()
        }
    }
}

/// Both ends of a device's socket without a network: the hub's transport, and what a device does with it.
final class TestSocket: DeviceTransport {
    struct Close: Sendable, Equatable {
        let code: UInt16
        let reason: String
    }

    struct Silence: Error {}

    let remoteAddress: String? = "192.0.2.1"
    let frames: AsyncStream<DeviceInput>
    private let toGateway: AsyncStream<DeviceInput>.Continuation
    private let state = Mutex<(received: [[UInt8]], close: Close?)>(([], nil))

    init() {
        (frames, toGateway) = AsyncStream.makeStream()
        // Reading the description takes seconds on a busy machine, which are none of those that a device has to register in.
        hold { _ in [] }
    }

    // MARK: The gateway's end

    func send(_ text: [UInt8]) async throws {
        hold { try $0.check(frame: text, .fromGateway) }
        state.withLock { $0.received.append(text) }
    }

    func close(code: UInt16, reason: String) async {
        hold { try $0.check(closeCode: code) }
        state.withLock { $0.close = $0.close ?? Close(code: code, reason: reason) }
        toGateway.finish()
    }

    func setMaxFrameBytes(_ count: Int, skimmed: Int) {}

    // MARK: The device's end

    /// - Parameter breaking: why the message does not fit the description, where that is what the test is about.
    func send(_ json: RawJSON, breaking reason: StaticString? = nil) {
        hold { contract in
            guard reason == nil else {
                contract.leaveOut()
                return []
            }
            return try contract.check(frame: json.bytes, .fromDevice)
        }
        toGateway.yield(.text(json.bytes))
    }

    /// A message of which the socket kept nothing.
    func sendOversized(_ text: String) {
        var outline = DeviceMessageOutline()
        outline.read(text.utf8)
        toGateway.yield(.oversized(outline))
    }

    /// Every frame, in both directions and whether a test looks at it or not, and every close code is held to `openapi.yaml`, here as on
    /// a real socket.
    private func hold(_ check: (Contract) throws -> [String]) {
        do {
            for violation in try check(try Contract.shared) { Issue.record("openapi.yaml: \(violation)") }
        } catch { Issue.record("openapi.yaml cannot be asked: \(error)") }
    }

    func hangUp() { toGateway.finish() }

    var closed: Close? { state.withLock { $0.close } }

    /// The next frame of this type, if it comes in time; other frames before it are dropped.
    func next(_ type: String, within seconds: Double = 120) async throws -> JSONNode {
        var found: JSONNode?
        let isFound = await eventually(within: seconds) {
            found = self.take(type)
            return found != nil || self.closed != nil
        }
        if found == nil { found = take(type) }
        guard isFound, let found else { throw Silence() }
        return found
    }

    /// What is there of this type by now, in order.
    func all(_ type: String) -> [JSONNode] {
        state.withLock { $0.received }.compactMap { try? JSONDocument(parsing: $0).root }.filter { $0["type"]?.string == type }
    }

    private func take(_ type: String) -> JSONNode? {
        state.withLock { state in
            for (index, bytes) in state.received.enumerated() {
                guard let node = try? JSONDocument(parsing: bytes).root, node["type"]?.string == type else { continue }
                state.received.remove(at: index)
                return node
            }
            return nil
        }
    }

    func closing(within seconds: Double = 120) async throws -> Close {
        guard await eventually(within: seconds, { self.closed != nil }), let closed else { throw Silence() }
        return closed
    }

    func register(_ device: TestDevice) async throws {
        send(try device.registration(try await next("device.challenge")))
        let registered = try await next("device.registered")
        #expect(registered["deviceId"]?.string == device.id.description)
    }

    func answer(_ callID: CallID, result: RawJSON = RawJSON("{\"ok\":true}")) {
        send(
            RawJSON.object { writer in
                writer.field("type", string: "tool.result")
                writer.field("callId", string: callID.description)
                writer.field("result", raw: result)
            })
    }

    /// Whether the gateway took it.
    func acknowledgement() async throws -> Bool {
        let applied = try await next("tool.result.ack")["applied"]?.bool
        guard let applied else { throw MissingField() }
        return applied
    }
}

struct MissingField: Error {}
