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
    /// Takes an `Idempotency-Key`.
    let isCreating: Bool
    private let mount: @Sendable (Router<OpenContext>, Gateway) -> Void

    /// For holders of a key with `scope`.
    init(
        _ method: HTTPRequest.Method, _ path: String, _ scope: Scope, _ operationID: String, _ operation: any Operation.Type,
        answersHead: Bool = true
    ) {
        self.method = method
        self.path = path
        self.scope = scope
        self.operationID = operationID
        isCreating = false
        mount = { router, gateway in
            let operation = operation.init(gateway: gateway)
            let authenticate = Authenticate(authenticator: gateway.authenticator, scope: scope)
            Self.add(router, method, path, answersHead: answersHead) { request, context in
                try await operation.handle(request, try await authenticate(request, context))
            }
        }
    }

    /// For holders of a key with `scope`; creates, and so takes an `Idempotency-Key`.
    init(
        _ method: HTTPRequest.Method, _ path: String, _ scope: Scope, _ operationID: String, _ operation: any CreatingOperation.Type
    ) {
        self.method = method
        self.path = path
        self.scope = scope
        self.operationID = operationID
        isCreating = true
        mount = { router, gateway in
            Self.addCreating(operation, router, method, path, operationID, gateway, scope)
        }
    }

    private static func addCreating<Creating: CreatingOperation>(
        _ operation: Creating.Type, _ router: Router<OpenContext>, _ method: HTTPRequest.Method, _ path: String, _ operationID: String,
        _ gateway: Gateway, _ scope: Scope
    ) {
        let route = CreationRoute(operation, operationID, gateway)
        let authenticate = Authenticate(authenticator: gateway.authenticator, scope: scope)
        add(router, method, path, answersHead: false) { request, context in
            try await route.handle(request, try await authenticate(request, context))
        }
    }

    /// For everybody.
    init(open method: HTTPRequest.Method, _ path: String, _ operationID: String, _ operation: any OpenOperation.Type) {
        self.method = method
        self.path = path
        scope = nil
        self.operationID = operationID
        isCreating = false
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
