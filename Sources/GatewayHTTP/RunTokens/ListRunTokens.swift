import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `GET /api/runs/{runId}/tokens`: those that are good, newest first; their number is bounded.
struct ListRunTokens: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        try QueryReader.refuseAny(request)
        return Answer.list(try await gateway.runTokens.list(context.scope, id), next: nil) { token, writer in
            writer.field("tokenId", string: token.tokenID.description)
            writer.field("runId", string: id.description)
            writer.field("grants", strings: token.grants.map(\.rawValue))
            writer.field("keyId", string: token.keyID.description)
            writer.field("createdAt", time: token.createdAt)
            writer.field("expiresAt", time: token.expiresAt)
        }
    }
}
