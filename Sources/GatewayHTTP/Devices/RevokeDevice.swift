import Domain
import Hummingbird
import Runtime
import Storage

/// `DELETE /api/devices/{deviceId}`: revoked for good, its socket is closed.
struct RevokeDevice: Operation {
    static let audit = AuditRule.logs([.deviceRevoke])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("deviceId", "device", as: DeviceID.self)
        try QueryReader.refuseAny(request)
        _ = try await gateway.devices.revoke(context.scope, id, by: context.author)
        return Answer.noContent()
    }
}
