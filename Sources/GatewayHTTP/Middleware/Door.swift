import Domain
import Hummingbird
import Runtime

/// What stands before every operation that is not public: who asks, then the rates of the tenant, then the scope.
struct Door: Sendable {
    private let authenticate: Authenticate
    private let rateLimit: RateLimit

    init(_ gateway: Gateway, _ kind: RequestKind) {
        authenticate = Authenticate(authenticator: gateway.authenticator, runTokens: gateway.runTokens)
        rateLimit = RateLimit(limiter: gateway.limiter, kind: kind)
    }

    /// - Parameter use: what the operation asks of a run token; nil: it takes keys alone.
    func enter(
        _ request: Request, _ context: OpenContext, _ scope: Scope, runToken use: RunToken.Use? = nil,
        _ handle: (AuthenticatedContext) async throws -> Response
    ) async throws -> Response {
        let principal = try await authenticate.principal(of: request, context, runToken: use)
        return try await rateLimit(principal.scope, context) { place in
            try await handle(try authenticate.authorized(principal, context, scope: scope, runToken: use, place: place))
        }
    }

    func enter(
        adminOf request: Request, _ context: OpenContext, _ handle: (AdminContext) async throws -> Response
    ) async throws -> Response {
        let principal = try await authenticate.principal(of: request, context)
        return try await rateLimit(principal.scope, context) { _ in try await handle(try authenticate.admin(principal, context)) }
    }
}
