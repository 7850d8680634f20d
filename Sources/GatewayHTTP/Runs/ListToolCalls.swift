import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/runs/{runId}/tool-calls`: the calls of the run, oldest first.
struct ListToolCalls: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.runs.toolCalls(context.scope, id, page)) { call, writer in call.write(to: &writer) }
    }
}
