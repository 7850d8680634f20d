import Domain
import Hummingbird
import Runtime

/// `DELETE /api/runs/{runId}/tokens/{tokenId}`: at once and for good; its streams end.
struct RevokeRunToken: Operation {
    static let audit = AuditRule.logs([.runTokenRevoke])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let run = try context.parameters.id("runId", "run", as: RunID.self)
        let token = try context.parameters.id("tokenId", "run_token", as: RunTokenID.self)
        try QueryReader.refuseAny(request)
        try await gateway.runTokens.revoke(context.principal, token, of: run, by: context.author)
        return Answer.noContent()
    }
}
