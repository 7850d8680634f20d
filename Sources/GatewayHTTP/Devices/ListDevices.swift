import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/devices`: newest first.
struct ListDevices: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.devices.list(context.scope, page)) { device, writer in device.write(to: &writer) }
    }
}
