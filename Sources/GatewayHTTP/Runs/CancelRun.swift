import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/runs/{runId}/cancel` {reason?}: asking again, or asking a finished run, answers with the run as it is.
struct CancelRun: Operation {
    static let audit = AuditRule.logs([.runCancel])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        try QueryReader.refuseAny(request)
        let reason = try await afterExistence {
            _ = try await gateway.runs.get(context.scope, id)
        } _: { () -> String? in
            guard let body = try await JSONBody.readIfPresent(request) else { return nil }
            var reader = try JSONObjectReader(body.root)
            let reason = try reader.optionalString("reason", maxBytes: 1024)
            try reader.finish()
            return reason
        }
        let run = try await gateway.runs.cancel(context.scope, id, reason: reason, by: context.author)
        return Answer.object { writer in run.write(to: &writer) }
    }
}
