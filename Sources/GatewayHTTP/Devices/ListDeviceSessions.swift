import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/devices/{deviceId}/sessions`: its connections, newest first.
struct ListDeviceSessions: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("deviceId", "device", as: DeviceID.self)
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.devices.sessions(context.scope, id, page)) { session, writer in
            session.write(to: &writer)
        }
    }
}
