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

    func principal(of request: Request, _ context: OpenContext) async throws(GatewayError) -> Principal {
        let principal = try await authenticator.authenticate(bearer: Self.bearer(request.headers[.authorization])) {
            context.clientAddress
        }
        context.tenant.note(principal.scope.tenantID)
        return principal
    }

    /// After the tenant's rates, so that requests without the scope count as well.
    func authorized(
        _ principal: Principal, _ context: OpenContext, scope: Scope, place: Place?
    ) throws(GatewayError) -> AuthenticatedContext {
        try principal.require(scope)
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
