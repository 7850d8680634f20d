import Domain
import HTTPTypes
import Hummingbird
import Runtime

/// The one place where a request gets its principal: key, then scope. The body has not been looked at yet.
struct Authenticate: Sendable {
    /// That authentication happened. Nobody else can make one.
    struct Proof: ~Copyable {
        let context: OpenContext
        let principal: Principal

        fileprivate init(context: OpenContext, principal: Principal) {
            self.context = context
            self.principal = principal
        }
    }

    /// That an admin's key was shown. Nobody else can make one, so an operation over all tenants cannot be mounted without.
    struct AdminProof: ~Copyable {
        let context: OpenContext
        let identity: AdminIdentity

        fileprivate init(context: OpenContext, identity: AdminIdentity) {
            self.context = context
            self.identity = identity
        }
    }

    let authenticator: Authenticator
    let runTokens: RunTokenService

    /// - Parameter use: what the operation asks of a run token; nil: it takes keys alone, and a run token is none.
    func principal(of request: Request, _ context: OpenContext, runToken use: RunToken.Use? = nil) async throws(GatewayError) -> Principal {
        let bearer = Self.bearer(request.headers[.authorization])
        let principal =
            if let use, let token = Self.runToken(bearer, use, request) {
                try await runTokens.authenticate(token) { context.clientAddress }
            } else {
                try await authenticator.authenticate(bearer: bearer) { context.clientAddress }
            }
        context.tenant.note(principal.scope.tenantID)
        return principal
    }

    /// nil: whoever asks shows a key, or nothing. An `EventSource` sends no header, so who watches may show the token in the query.
    private static func runToken(_ bearer: String?, _ use: RunToken.Use, _ request: Request) -> String? {
        if let bearer { return bearer.hasPrefix("\(CredentialToken.Kind.runToken.rawValue)_") ? bearer : nil }
        guard use == .stream, request.headers[.authorization] == nil, var query = try? QueryReader(request) else { return nil }
        return query.string("token")
    }

    /// After the tenant's rates, so that requests without the scope count as well.
    func authorized(
        _ principal: Principal, _ context: OpenContext, scope: Scope, runToken use: RunToken.Use?, place: Place?
    ) throws(GatewayError) -> AuthenticatedContext {
        if let token = principal.runToken, let use {
            try token.require(use, on: context.parameters["runId"].flatMap { RunID($0) })
        } else {
            try principal.require(scope)
        }
        return AuthenticatedContext(Proof(context: context, principal: principal), place: place)
    }

    func admin(_ principal: Principal, _ context: OpenContext) throws(GatewayError) -> AdminContext {
        let identity = try AdminIdentity(principal, author: context.author(.admin, principal.keyID.description))
        return AdminContext(AdminProof(context: context, identity: identity))
    }

    /// RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).
    static func bearer(_ header: String?) -> String? {
        guard let header, let space = header.utf8.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        let scheme = header[..<space]
        guard scheme == "Bearer" || scheme.lowercased() == "bearer" else { return nil }
        let key = header[space...].drop { $0 == " " }
        return key.isEmpty ? nil : String(key)
    }
}
