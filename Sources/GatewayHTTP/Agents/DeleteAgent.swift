import Domain
import Hummingbird
import Runtime
import Storage

/// `DELETE /api/agents/{agentId}`: its runs stay, its name is free again.
struct DeleteAgent: Operation {
    static let audit = AuditRule.logs([.agentDelete])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("agentId", "agent", as: AgentID.self)
        try QueryReader.refuseAny(request)
        try await gateway.agents.delete(context.scope, id, by: context.author)
        return Answer.noContent()
    }
}
