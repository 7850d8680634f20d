import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/agents/{agentId}`.
struct GetAgent: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("agentId", "agent", as: AgentID.self)
        try QueryReader.refuseAny(request)
        let agent = try await gateway.agents.get(context.scope, id)
        return Answer.object { writer in agent.write(to: &writer) }
    }
}
