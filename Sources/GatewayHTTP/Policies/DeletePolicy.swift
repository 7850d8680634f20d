import Domain
import Hummingbird
import Runtime

/// `DELETE /api/policies/{name}`: what it narrowed is as wide again as the operator's rules.
struct DeletePolicy: Operation {
    static let audit = AuditRule.logs([.policyDelete])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        try await gateway.tenantPolicies.delete(
            context.scope, context.parameters["policyName"].map { String($0) } ?? "", by: context.author)
        return Answer.noContent()
    }
}
