import Domain
import Hummingbird
import Logging
import NIOCore
import Runtime
import Synchronization

/// What a request knows before anybody is authenticated.
struct OpenContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The connection; streams write to it directly.
    let channel: any Channel
    /// Whoever stands at its other end. Set by `GatewayChannel`.
    var peer: IPAddress?
    /// The caller's `X-Request-Id`, or one made here. Set by `RequestLog`, which stands before every handler.
    var requestID = ""
    /// As received (W3C Trace Context), for logs.
    var traceparent: String?
    let tenant = TenantNote()
    /// Set by `RequestLog`, where proxies are trusted.
    var proxies = TrustedProxies()
    /// The values of `X-Forwarded-For`, where they may count.
    var forwardedFor: [String] = []

    /// The template of the route, for logs; Hummingbird calls what is none "NotFound".
    var route: String { endpointPath.map { $0 == "NotFound" ? "none" : $0 } ?? "none" }

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// Made when something is logged: most requests log nothing of their own.
    var requestLogger: Logger {
        var logger = logger
        logger[metadataKey: "requestId"] = .string(requestID)
        if let traceparent { logger[metadataKey: "traceparent"] = .string(traceparent) }
        return logger
    }
}

extension OpenContext {
    /// The client's address: the connection's, or what trusted proxies say. Worked out where it is asked for.
    var clientAddress: IPAddress? {
        guard let peer else { return nil }
        return forwardedFor.isEmpty ? peer : proxies.client(peer: peer, forwardedFor: forwardedFor)
    }

    func author(_ kind: ChangeAuthor.Kind, _ id: String) -> ChangeAuthor {
        ChangeAuthor(kind: kind, id: id, address: clientAddress?.description, requestID: requestID)
    }
}

/// Which tenant a request turned out to belong to, for its line in the log, and how that tenant stands at its rates, for a failure.
final class TenantNote: Sendable {
    private let noted = Mutex<(tenantID: TenantID?, rates: RateLimitFields?)>((nil, nil))

    var tenantID: TenantID? { noted.withLock { $0.tenantID } }
    var rates: RateLimitFields? { noted.withLock { $0.rates } }
    func note(_ tenantID: TenantID) { noted.withLock { $0.tenantID = tenantID } }
    func note(_ rates: RateLimitFields) { noted.withLock { $0.rates = rates } }
}

/// A request with its principal. Only `Authenticate` makes one, so a handler that takes it cannot be mounted without.
struct AuthenticatedContext: Sendable {
    let open: OpenContext
    let principal: Principal
    /// Among the tenant's open streams, where the route asks for one. Free again when nobody refers to it.
    let place: Place?

    init(_ proof: borrowing Authenticate.Proof, place: Place?) {
        open = proof.context
        self.place = place
        principal = proof.principal
    }

    /// Who the audit log will say has made a change.
    var author: ChangeAuthor {
        guard let token = principal.runToken else { return open.author(.key, principal.keyID.description) }
        return open.author(.runToken, token.tokenID.description)
    }
    /// What every service asks for.
    var scope: TenantScope { principal.scope }
    var channel: any Channel { open.channel }
    var parameters: Parameters { open.parameters }
    var requestID: String { open.requestID }
    var logger: Logger { open.requestLogger }
}

/// A request with an admin's key. Only `Authenticate` makes one.
struct AdminContext: Sendable {
    let open: OpenContext
    let admin: AdminIdentity

    init(_ proof: borrowing Authenticate.AdminProof) {
        open = proof.context
        admin = proof.identity
    }

    var parameters: Parameters { open.parameters }
    var requestID: String { open.requestID }
    var logger: Logger { open.requestLogger }
}
