import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/agents`: newest first.
struct ListAgents: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.agents.list(context.scope, page)) { agent, writer in agent.write(to: &writer) }
    }
}
