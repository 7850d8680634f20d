import Cryptography
public import JSON

/// A new enrolment token; `token` is shown this once.
public struct NewEnrollmentToken: Sendable {
    public let tokenId: String
    public let token: String
    public let audience: String
    public let expiresAt: String
    public let json: RawJSON
}

public struct EnrolledDevice: Sendable {
    public let deviceId: String
    /// active, or pending until somebody approves the device.
    public let status: String
    public let audience: String
    public let json: RawJSON
}

public struct Device: Sendable {
    public let deviceId: String
    public let deviceKey: String?
    public let displayName: String?
    public let status: String?
    public let isOnline: Bool?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["deviceId"]?.string ?? node["id"]?.string else { throw .malformed("A device without “deviceId”.") }
        deviceId = id
        deviceKey = node["deviceKey"]?.string
        displayName = node["displayName"]?.string
        status = node["status"]?.string
        isOnline = node["online"]?.bool
        json = node.rawJSON
    }
}

extension HsafaClient {
    public var enrollmentTokens: EnrollmentTokensAPI { EnrollmentTokensAPI(client: self) }
    public var devices: DevicesAPI { DevicesAPI(client: self) }

    public struct EnrollmentTokensAPI: Sendable {
        let client: HsafaClient

        public func create(
            labels: [(String, String)] = [], allowedTools: [String]? = nil, autoApprove: Bool? = nil, deviceKey: String? = nil,
            expiresSeconds: Int? = nil, idempotencyKey: String? = nil
        ) async throws(HsafaClientError) -> NewEnrollmentToken {
            let body = RawJSON.object { writer in
                if !labels.isEmpty {
                    writer.field("labels", raw: .object { list in for (name, value) in labels { list.field(name, string: value) } })
                }
                if let allowedTools {
                    writer.field("allowedTools", raw: .array { list in for tool in allowedTools { list.string(tool) } })
                }
                if let autoApprove { writer.field("autoApprove", bool: autoApprove) }
                writer.field("deviceKey", stringIfPresent: deviceKey)
                if let expiresSeconds { writer.field("expiresSeconds", int: expiresSeconds) }
            }
            let answer = try await client.create("/api/devices/enrollment-tokens", idempotencyKey: idempotencyKey, body: body)
            return NewEnrollmentToken(
                tokenId: try answer.string("tokenId"), token: try answer.string("token"), audience: try answer.string("audience"),
                expiresAt: try answer.string("expiresAt"), json: answer.json)
        }
    }

    public struct DevicesAPI: Sendable {
        let client: HsafaClient

        /// Public: the token is the credential. Asking again with the same key and token gives the same answer.
        ///
        /// - Parameter audience: the gateway's public URL, as the token's creation told it; it is signed.
        public func enroll(
            token: EnrollmentToken, audience: String, key: DeviceKey, deviceKey: String, displayName: String? = nil,
            platform: String? = nil, tools: [DeviceTool]? = nil
        ) async throws(HsafaClientError) -> EnrolledDevice {
            let signature: String
            do { signature = try key.enrollmentSignature(audience: audience, tokenId: token.tokenId, deviceKey: deviceKey) } catch {
                throw HsafaClientError(status: nil, code: "signature_failed", detail: "The device's key cannot sign: \(error.detail)")
            }
            let body = RawJSON.object { writer in
                writer.field("token", string: token.text)
                writer.field("publicKey", string: key.publicKey)
                writer.field("deviceKey", string: deviceKey)
                writer.field("displayName", stringIfPresent: displayName)
                writer.field("platform", stringIfPresent: platform)
                if let tools { writer.field("capabilities", raw: DeviceTool.capabilities(tools)) }
                writer.field("signature", string: signature)
            }
            let answer = try await client.call("POST", "/api/devices/enroll", body: body)
            return EnrolledDevice(
                deviceId: try answer.string("deviceId"), status: try answer.string("status"),
                audience: answer.root["audience"]?.string ?? audience, json: answer.json)
        }

        public func list(
            status: String? = nil, limit: Int? = nil, cursor: String? = nil
        ) async throws(HsafaClientError) -> Page<Device> {
            try await client.page(
                "/api/devices", [("status", status), ("limit", limit.map(String.init)), ("cursor", cursor)]
            ) { node throws(HsafaClientError) in try Device(node) }
        }

        public func get(_ deviceId: String) async throws(HsafaClientError) -> Device {
            try Device(await client.call("GET", "/api/devices/\(percentEncode(deviceId))").root)
        }
    }
}
