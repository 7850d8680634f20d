import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/devices/{deviceId}`.
struct GetDevice: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("deviceId", "device", as: DeviceID.self)
        try QueryReader.refuseAny(request)
        let device = try await gateway.devices.get(context.scope, id)
        return Answer.object { writer in device.write(to: &writer) }
    }
}
