import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/runs/{runId}/tool-calls`: all calls of the run, oldest first; their number is bounded by the run's steps.
struct ListToolCalls: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        try QueryReader.refuseAny(request)
        let calls = try await gateway.runs.toolCalls(context.scope, id)
        return Answer.list(calls, next: nil) { call, writer in call.write(to: &writer) }
    }
}
