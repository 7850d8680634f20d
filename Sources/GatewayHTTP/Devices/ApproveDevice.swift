import Domain
import Hummingbird
import Runtime
import Storage

/// `POST /api/devices/{deviceId}/approve`: pending becomes active; asking again changes nothing.
struct ApproveDevice: Operation {
    static let audit = AuditRule.logs([.deviceApprove])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("deviceId", "device", as: DeviceID.self)
        try QueryReader.refuseAny(request)
        let device = try await gateway.devices.approve(context.scope, id, by: context.author)
        return Answer.object { writer in device.write(to: &writer) }
    }
}
