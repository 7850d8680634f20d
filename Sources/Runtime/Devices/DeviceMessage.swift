import Domain
import JSON

/// What a device sends.
enum DeviceMessage {
    case register(Registration)
    case result(callID: String, ToolOutcome)
    case ping(ts: RawJSON?)
    case pong
    case unknown(type: String)

    struct Registration {
        let deviceID: String
        let signature: String
        let capabilities: JSONNode?
    }

    init(_ bytes: [UInt8]) throws(DeviceMessageFault) {
        let root: JSONNode
        do { root = try JSONDocument(parsing: bytes, limits: JSONLimits(maxDepth: Limits.maxJSONDepth)).root } catch {
            let place = error.pointer.isEmpty ? "" : ", in \(error.pointer)"
            throw .malformed("The frame is not valid JSON (RFC 8259, UTF-8): \(error)\(place).")
        }
        do { self = try Self.read(root) } catch {
            let place = error.pointer.isEmpty ? "The frame" : error.pointer
            throw .malformed("\(place) \(error.message).")
        }
    }

    private static func read(_ root: JSONNode) throws(JSONViolation) -> DeviceMessage {
        var reader = try JSONObjectReader(root)
        let type = try reader.string("type", maxBytes: 64)
        let message: DeviceMessage
        switch type {
        case "device.register":
            message = .register(
                Registration(
                    deviceID: try reader.string("deviceId", maxBytes: 64), signature: try reader.string("signature", maxBytes: 128),
                    capabilities: try reader.optionalNode("capabilities")))
        case "tool.result": message = try readResult(&reader)
        case "ping": message = .ping(ts: try readTime(&reader))
        case "pong":
            _ = try readTime(&reader)
            message = .pong
        default: return .unknown(type: type)
        }
        try reader.finish()
        return message
    }

    private static func readTime(_ reader: inout JSONObjectReader) throws(JSONViolation) -> RawJSON? {
        guard let node = try reader.optionalNode("ts") else { return nil }
        guard node.kind == .string || node.kind == .number, node.raw.count <= 64 else {
            throw JSONViolation(pointer: "/ts", message: "must be a time of at most 64 bytes")
        }
        return node.rawJSON
    }

    private static func readResult(_ reader: inout JSONObjectReader) throws(JSONViolation) -> DeviceMessage {
        let callID = try reader.string("callId", maxBytes: 64)
        guard reader.has("result") != reader.has("error") else {
            throw JSONViolation(pointer: "", message: "must have either result or error")
        }
        guard reader.has("result") else {
            let error = try ToolError(reading: try reader.node("error"), at: "/error")
            return .result(callID: callID, .failed(error, source: .device))
        }
        return .result(callID: callID, .result(try reader.node("result").rawJSON.compacted(), source: .device))
    }
}

enum DeviceMessageFault: Error {
    case malformed(String)
}
