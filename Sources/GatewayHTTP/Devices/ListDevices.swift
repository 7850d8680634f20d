import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/devices`: newest first; by status, so that those who wait for approval are found.
struct ListDevices: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let status = try query.choice("status", of: DeviceStatus.self)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.devices.list(context.scope, page, status: status)) { device, writer in
            device.write(to: &writer)
        }
    }
}
