import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/devices`: a device by its public key, without a token; it is active at once.
struct RegisterDevice: Operation {
    static let audit = AuditRule.logs([.deviceRegister])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let body = try await JSONBody.read(request)
        var reader = try JSONObjectReader(body.root)
        let publicKey = try reader.string("publicKey", maxBytes: 256)
        let deviceKey = try reader.deviceKey()
        let displayName = try reader.optionalDisplayName()
        let platform = try reader.optionalPlatform()
        let labels = try reader.optionalLabels() ?? [:]
        try reader.finish()
        let device = try await gateway.devices.register(
            context.scope, publicKey: publicKey, deviceKey: deviceKey, displayName: displayName, platform: platform, labels: labels,
            by: context.author)
        return Answer.object(.created, location: "/api/devices/\(device.deviceID)") { writer in device.write(to: &writer) }
    }
}
