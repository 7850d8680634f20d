import Domain
import Hummingbird
import Runtime

/// `POST /api/tool-results/{callId}` {result | error}, with the call's own token: 200 `{applied}`; false where an earlier outcome stands.
struct SubmitExternalResult: OpenOperation {
    static let audit = AuditRule.omitted(because: "the run's log has the result and its source")
    let gateway: Gateway

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        let callID = context.parameters["callId"].flatMap { CallID($0) }
        let credential = request.headers[.authorization] ?? ""
        let token = credential.lowercased().hasPrefix("bearer ") ? String(credential.dropFirst(7)) : nil
        let applied = try await gateway.external.submitResult(callID, token: token) {
            try QueryReader.refuseAny(request)
            return try ResultFields.read(try await JSONBody.read(request), source: .external, withCall: false).outcome
        }
        return Answer.object(capacity: 96) { writer in
            writer.field("callId", string: callID.map { "\($0)" } ?? "")
            writer.field("applied", bool: applied)
        }
    }
}
