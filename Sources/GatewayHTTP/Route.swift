import Domain
import HTTPTypes
import Hummingbird
import Runtime
import Storage

/// One operation of the API: made for the gateway's services, then asked once for each request.
protocol Operation: Sendable {
    static var audit: AuditRule { get }
    static var deprecation: Deprecation? { get }
    init(gateway: Gateway)
    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response
}

/// An operation over all tenants, for the platform's admins alone.
protocol AdminOperation: Sendable {
    static var audit: AuditRule { get }
    static var deprecation: Deprecation? { get }
    init(gateway: Gateway)
    func handle(_ request: Request, _ context: AdminContext) async throws -> Response
}

/// An operation that anybody may call.
protocol OpenOperation: Sendable {
    static var audit: AuditRule { get }
    static var deprecation: Deprecation? { get }
    init(gateway: Gateway)
    func handle(_ request: Request, _ context: OpenContext) async throws -> Response
}

extension Operation {
    static var audit: AuditRule { .reads }
    static var deprecation: Deprecation? { nil }
}
extension AdminOperation {
    static var audit: AuditRule { .reads }
    static var deprecation: Deprecation? { nil }
}
extension OpenOperation {
    static var audit: AuditRule { .reads }
    static var deprecation: Deprecation? { nil }
}
extension CreatingOperation { static var deprecation: Deprecation? { nil } }

/// A row of the route table.
struct Route: Sendable {
    enum Requirement: Sendable, Equatable {
        case nothing
        case scope(Scope)
        case admin
    }

    let method: HTTPRequest.Method
    /// With `{parameters}`.
    let path: String
    let requirement: Requirement
    let operationID: String
    let audit: AuditRule
    /// nil: it stays.
    let deprecation: Deprecation?
    /// Takes an `Idempotency-Key`.
    let isCreating: Bool
    /// What it asks of a run token; nil: it takes keys alone. Such routes are open to pages of any origin.
    let runToken: RunToken.Use?
    private let mount: @Sendable (Router<OpenContext>, Gateway) -> Void

    /// nil: public, or for admins.
    var scope: Scope? { if case .scope(let scope) = requirement { scope } else { nil } }

    /// For holders of a key with `scope`, or of a run token where one will do, within the limits of their tenant.
    init(
        _ method: HTTPRequest.Method, _ path: String, _ scope: Scope, _ operationID: String, _ operation: any Operation.Type,
        taking kind: RequestKind = .plain, page use: RunToken.Use? = nil
    ) {
        self.init(method, path, .scope(scope), operationID, operation.audit, operation.deprecation, runToken: use) { router, gateway in
            let operation = operation.init(gateway: gateway)
            let door = Door(gateway, kind)
            Self.add(router, method, path, answersHead: kind != .stream) { request, context in
                try await door.enter(request, context, scope, runToken: use) { try await operation.handle(request, $0) }
            }
        }
    }

    /// For the platform's admins.
    init(admin method: HTTPRequest.Method, _ path: String, _ operationID: String, _ operation: any AdminOperation.Type) {
        self.init(method, path, .admin, operationID, operation.audit, operation.deprecation) { router, gateway in
            let operation = operation.init(gateway: gateway)
            let door = Door(gateway, .plain)
            Self.add(router, method, path, answersHead: true) { request, context in
                try await door.enter(adminOf: request, context) { try await operation.handle(request, $0) }
            }
        }
    }

    /// For holders of a key with `scope`; creates, and so takes an `Idempotency-Key`.
    init<Creating: CreatingOperation>(
        _ method: HTTPRequest.Method, _ path: String, _ scope: Scope, _ operationID: String, _ operation: Creating.Type,
        taking kind: RequestKind = .plain
    ) where Creating.Context == AuthenticatedContext {
        self.init(method, path, .scope(scope), operationID, operation.audit, operation.deprecation, isCreating: true) { router, gateway in
            let creation = CreationRoute(operation, operationID, gateway)
            let door = Door(gateway, kind)
            Self.add(router, method, path, answersHead: false) { request, context in
                try await door.enter(request, context, scope) { try await creation.handle(request, $0) }
            }
        }
    }

    /// The same for the platform's admins.
    init<Creating: CreatingOperation>(
        admin method: HTTPRequest.Method, _ path: String, _ operationID: String, _ operation: Creating.Type
    ) where Creating.Context == AdminContext {
        self.init(method, path, .admin, operationID, operation.audit, operation.deprecation, isCreating: true) { router, gateway in
            let creation = CreationRoute(operation, operationID, gateway)
            let door = Door(gateway, .plain)
            Self.add(router, method, path, answersHead: false) { request, context in
                try await door.enter(adminOf: request, context) { try await creation.handle(request, $0) }
            }
        }
    }

    /// For everybody.
    init(open method: HTTPRequest.Method, _ path: String, _ operationID: String, _ operation: any OpenOperation.Type) {
        self.init(method, path, .nothing, operationID, operation.audit, operation.deprecation) { router, gateway in
            let operation = operation.init(gateway: gateway)
            Self.add(router, method, path, answersHead: true) { request, context in try await operation.handle(request, context) }
        }
    }

    private init(
        _ method: HTTPRequest.Method, _ path: String, _ requirement: Requirement, _ operationID: String, _ audit: AuditRule,
        _ deprecation: Deprecation?, isCreating: Bool = false, runToken: RunToken.Use? = nil,
        mount: @escaping @Sendable (Router<OpenContext>, Gateway) -> Void
    ) {
        self.method = method
        self.path = path
        self.requirement = requirement
        self.operationID = operationID
        self.audit = audit
        self.deprecation = deprecation
        self.isCreating = isCreating
        self.runToken = runToken
        self.mount = mount
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
