import Domain
import Hummingbird
import JSON
import Runtime

/// `POST /api/tool-results/{callId}` {result | error}, with the call's own token: 200 `{applied}`; false where an earlier outcome stands.
struct SubmitExternalResult: OpenOperation {
    static let audit = AuditRule.omitted(because: "the run's log has the result and its source")
    let gateway: Gateway
    private let rateLimit: RateLimit

    init(gateway: Gateway) {
        self.gateway = gateway
        rateLimit = RateLimit(limiter: gateway.limiter, kind: .plain)
    }

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        // The token is the credential: nothing else of the request is looked at before.
        let call = try await gateway.external.call(
            context.parameters["callId"].map(String.init), token: Authenticate.bearer(request.headers[.authorization]))
        context.tenant.note(call.scope.tenantID)
        return try await rateLimit(call.scope, context) { _ in
            try QueryReader.refuseAny(request)
            let (_, outcome) = try ResultFields.read(try await JSONBody.read(request), source: .external, withCall: false)
            let applied = try await gateway.external.submit(outcome, for: call)
            return Answer.object(capacity: 96) { writer in
                writer.field("callId", string: call.callID.description)
                writer.field("applied", bool: applied)
            }
        }
    }
}
