import Domain
import HTTPTypes
import Hummingbird
import Runtime
import Storage

/// One operation of the API: made for the gateway's services, then asked once for each request.
protocol Operation: Sendable {
    init(gateway: Gateway)
    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response
}

/// An operation that anybody may call.
protocol OpenOperation: Sendable {
    init(gateway: Gateway)
    func handle(_ request: Request, _ context: OpenContext) async throws -> Response
}

/// A row of the route table.
struct Route: Sendable {
    let method: HTTPRequest.Method
    /// With `{parameters}`.
    let path: String
    /// nil: public.
    let scope: Scope?
    let operationID: String
    private let mount: @Sendable (Router<OpenContext>, Gateway) -> Void

    /// For holders of a key with `scope`, within the limits of their tenant.
    init(
        _ method: HTTPRequest.Method, _ path: String, _ scope: Scope, _ operationID: String, _ operation: any Operation.Type,
        answersHead: Bool = true, taking kind: RequestKind = .plain
    ) {
        self.method = method
        self.path = path
        self.scope = scope
        self.operationID = operationID
        mount = { router, gateway in
            let operation = operation.init(gateway: gateway)
            let authenticate = Authenticate(authenticator: gateway.authenticator, scope: scope)
            let rateLimit = RateLimit(limiter: gateway.limiter, kind: kind)
            Self.add(router, method, path, answersHead: answersHead) { request, context in
                let principal = try await authenticate.principal(of: request, context)
                return try await rateLimit(principal, context) { place in
                    try await operation.handle(request, try authenticate.authorized(principal, context, place: place))
                }
            }
        }
    }

    /// For everybody.
    init(open method: HTTPRequest.Method, _ path: String, _ operationID: String, _ operation: any OpenOperation.Type) {
        self.method = method
        self.path = path
        scope = nil
        self.operationID = operationID
        mount = { router, gateway in
            let operation = operation.init(gateway: gateway)
            Self.add(router, method, path, answersHead: true) { request, context in try await operation.handle(request, context) }
        }
    }

    func mount(on router: Router<OpenContext>, gateway: Gateway) { mount(router, gateway) }

    /// What answers GET answers HEAD (RFC 9110 §9.3.2), except streams, which have no length and no end.
    private static func add(
        _ router: Router<OpenContext>, _ method: HTTPRequest.Method, _ path: String, answersHead: Bool,
        _ respond: @escaping @Sendable (Request, OpenContext) async throws -> Response
    ) {
        router.on(RouterPath(path), method: method, responder: CallbackResponder(callback: respond))
        guard method == .get, answersHead else { return }
        router.on(
            RouterPath(path), method: .head,
            responder: CallbackResponder { request, context in try await respond(request, context).createHeadResponse() })
    }
}
