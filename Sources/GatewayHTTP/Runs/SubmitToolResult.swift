import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/runs/{runId}/tool-results` {callId, result | error}: 200 `{applied}`; false where an earlier outcome stands. The run's log has
/// the result and its source; the audit log has what the gate decided where it did not let the answer through.
struct SubmitToolResult: Operation {
    static let audit = AuditRule.logs([.toolCallDecide])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        try QueryReader.refuseAny(request)
        let (callID, outcome) = try await afterExistence {
            _ = try await gateway.runs.get(context.scope, id)
        } _: {
            // The source is put right by the service, which knows the call's target.
            try ResultFields.read(try await JSONBody.read(request), source: .browser, withCall: true)
        }
        guard let callID else { throw GatewayError.notFound("tool_call") }
        // A page has its own calls to answer, and no others.
        let targets: Set<ToolTarget> = context.principal.runToken == nil ? [.browser, .external] : [.browser]
        let applied = try await gateway.runs.submitResult(context.scope, id, callID: callID, outcome: outcome, targets: targets)
        return Answer.object(capacity: 96) { writer in
            writer.field("callId", string: callID.description)
            writer.field("applied", bool: applied)
        }
    }
}
