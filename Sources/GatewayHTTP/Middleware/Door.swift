import Domain
import Hummingbird
import Runtime

/// What stands before every operation that is not public: who asks, then the rates of the tenant, then the scope.
struct Door: Sendable {
    private let authenticate: Authenticate
    private let rateLimit: RateLimit

    init(_ gateway: Gateway, _ kind: RequestKind) {
        authenticate = Authenticate(authenticator: gateway.authenticator)
        rateLimit = RateLimit(limiter: gateway.limiter, kind: kind)
    }

    func enter(
        _ request: Request, _ context: OpenContext, _ scope: Scope, _ handle: (AuthenticatedContext) async throws -> Response
    ) async throws -> Response {
        let principal = try await authenticate.principal(of: request, context)
        return try await rateLimit(principal.scope, context) { place in
            try await handle(try authenticate.authorized(principal, context, scope: scope, place: place))
        }
    }

    func enter(
        adminOf request: Request, _ context: OpenContext, _ handle: (AdminContext) async throws -> Response
    ) async throws -> Response {
        let principal = try await authenticate.principal(of: request, context)
        return try await rateLimit(principal.scope, context) { _ in try await handle(try authenticate.admin(principal, context)) }
    }
}
