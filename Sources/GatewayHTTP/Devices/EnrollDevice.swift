import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/devices/enroll`: public; the token is the credential and the signature proves the key. 201, or 200 when asked again.
struct EnrollDevice: OpenOperation {
    static let audit = AuditRule.logs([.deviceEnroll])
    let gateway: Gateway

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        // Nobody has shown a credential yet.
        let body = try await JSONBody.read(request, maxBytes: Limits.maxEnrollmentBodyBytes)
        var reader = try JSONObjectReader(body.root)
        let enrollment = EnrollmentRequest(
            token: try reader.string("token", maxBytes: 256), publicKey: try reader.string("publicKey", maxBytes: 256),
            deviceKey: try reader.deviceKey(), displayName: try reader.optionalDisplayName(), platform: try reader.optionalPlatform(),
            capabilities: try reader.optionalNode("capabilities"), signature: try reader.string("signature", maxBytes: 256))
        try reader.finish()
        let (device, isNew) = try await gateway.devices.enroll(
            enrollment, address: context.clientAddress, requestID: context.requestID)
        return Answer.object(isNew ? .created : .ok) { writer in
            writer.field("deviceId", string: device.deviceID.description)
            writer.field("status", string: device.status.rawValue)
            writer.field("audience", string: gateway.configuration.publicURL)
        }
    }
}
