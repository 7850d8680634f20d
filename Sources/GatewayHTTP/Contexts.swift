import Domain
import Hummingbird
import Logging
import NIOCore
import Synchronization

/// What a request knows before anybody is authenticated.
struct OpenContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The connection; streams write to it directly.
    let channel: any Channel
    /// The caller's `X-Request-Id`, or one made here. Set by `RequestLog`, which stands before every handler.
    var requestID = ""
    /// As received (W3C Trace Context), for logs.
    var traceparent: String?
    let tenant = TenantNote()

    /// The template of the route, for logs; Hummingbird calls what is none "NotFound".
    var route: String { endpointPath.map { $0 == "NotFound" ? "none" : $0 } ?? "none" }

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }

    /// Made when something is logged: most requests log nothing of their own.
    var requestLogger: Logger {
        var logger = logger
        logger[metadataKey: "hb.request.id"] = nil
        logger[metadataKey: "requestId"] = .string(requestID)
        if let traceparent { logger[metadataKey: "traceparent"] = .string(traceparent) }
        return logger
    }
}

/// Which tenant a request turned out to belong to, for its line in the log.
final class TenantNote: Sendable {
    private let noted = Mutex<TenantID?>(nil)

    var tenantID: TenantID? { noted.withLock { $0 } }
    func note(_ tenantID: TenantID) { noted.withLock { $0 = tenantID } }
}

/// A request with its principal. Only `Authenticate` makes one, so a handler that takes it cannot be mounted without.
struct AuthenticatedContext: Sendable {
    let open: OpenContext
    let principal: Principal

    init(_ proof: borrowing Authenticate.Proof) {
        open = proof.context
        principal = proof.principal
    }

    /// What every service asks for.
    var scope: TenantScope { principal.scope }
    var channel: any Channel { open.channel }
    var parameters: Parameters { open.parameters }
    var requestID: String { open.requestID }
    var logger: Logger { open.requestLogger }
}
