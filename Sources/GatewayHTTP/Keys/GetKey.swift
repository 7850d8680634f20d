import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/keys/{keyId}`.
struct GetKey: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("keyId", "key", as: APIKeyID.self)
        try QueryReader.refuseAny(request)
        let key = try await gateway.keys.get(context.scope, id)
        return Answer.object { writer in key.write(to: &writer) }
    }
}
