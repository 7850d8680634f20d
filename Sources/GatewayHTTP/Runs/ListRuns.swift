import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/runs`: newest first, by status, agent, parent and time.
struct ListRuns: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        var filter = RunFilter()
        filter.status = try query.choice("status")
        filter.agentID = try query.id("agentId")
        filter.parentRunID = try query.id("parentRunId")
        filter.createdAfter = try query.time("createdAfter")
        filter.createdBefore = try query.time("createdBefore")
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.runs.list(context.scope, filter, page)) { run, writer in run.write(to: &writer) }
    }
}
