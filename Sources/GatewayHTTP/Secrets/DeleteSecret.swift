import Domain
import Hummingbird
import Runtime

/// `DELETE /api/secrets/{name}`: gone at once; a config that names it fails at its next use, an MCP session that has it ends with its claim.
struct DeleteSecret: Operation {
    static let audit = AuditRule.logs([.secretDelete])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        try await gateway.secrets.delete(context.scope, context.parameters["secretName"].map { String($0) } ?? "", by: context.author)
        return Answer.noContent()
    }
}
