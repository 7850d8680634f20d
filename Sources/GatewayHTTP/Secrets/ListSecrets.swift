import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/secrets`: names, hosts and times; never a value.
struct ListSecrets: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.secrets.list(context.scope, page)) { secret, writer in secret.write(to: &writer) }
    }
}
