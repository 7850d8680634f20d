import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/agents/{agentId}/versions`: newest first, without the configs.
struct ListAgentVersions: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("agentId", "agent", as: AgentID.self)
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.agents.versions(context.scope, id, page)) { version, writer in
            version.write(to: &writer, withConfig: false)
        }
    }
}
