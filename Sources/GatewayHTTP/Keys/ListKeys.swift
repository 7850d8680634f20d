import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/keys`: newest first, revoked and expired ones included.
struct ListKeys: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.keys.list(context.scope, page)) { key, writer in key.write(to: &writer) }
    }
}
