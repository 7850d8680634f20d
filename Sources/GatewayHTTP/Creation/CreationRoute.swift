import Domain
import HTTPTypes
import Hummingbird
import Runtime
import Storage

/// Carries a creating operation out: at once, or, under an `Idempotency-Key`, once.
struct CreationRoute<Operation: CreatingOperation>: Sendable {
    private let operation: Operation
    private let operationID: String
    private let creations: Creations

    init(_ type: Operation.Type, _ operationID: String, _ gateway: Gateway) {
        operation = type.init(gateway: gateway)
        self.operationID = operationID
        creations = gateway.creations
    }

    func handle(_ request: Request, _ context: Operation.Context) async throws -> Response {
        guard let key = try Self.key(request) else {
            let draft = try await checked(context) { try await operation.read(try await Self.whole(request), context) }
            return respond(try await creations.plain(try await operation.home(context)) { try await create(draft, $0, context) }, context)
        }
        let whole = try await checked(context) { try await Self.whole(request) }
        let once = IdempotentRequest(
            key, principalID: context.principal.keyID, operation: operationID, method: request.method.rawValue, path: request.uri.path,
            query: request.uri.query, contentType: request.headers[.contentType], body: whole.bytes)
        let outcome = try await creations.once(once, try await operation.home(context)) {
            let draft = try await checked(context) { try await operation.read(whole, context) }
            return { try await create(draft, $0, context) }
        }
        return respond(outcome, context)
    }

    private func create(
        _ draft: Operation.Draft, _ tenant: TenantDatabase, _ context: Operation.Context
    ) async throws -> (Operation.Created, CreationAnswer) {
        let created = try await operation.create(draft, in: tenant, context)
        return (created, operation.answer(created))
    }

    /// What is wrong with a body is told to those alone who may see the thing it is about.
    private func checked<Value>(_ context: Operation.Context, _ read: () async throws -> Value) async throws -> Value {
        try await afterExistence({ try await operation.requireParent(context) }, read)
    }

    private static func whole(_ request: Request) async throws -> CreationRequest {
        CreationRequest(head: request.head, bytes: try await JSONBody.collect(request, maxBytes: Limits.maxBodyBytes))
    }

    private func respond(_ outcome: Creations.Outcome<Operation.Created>, _ context: Operation.Context) -> Response {
        switch outcome {
        case .created(let created, let answer):
            operation.committed(created)
            return answer.response()
        case .replayed(let answer):
            var response = answer.response()
            response.headers[.idempotencyReplayed] = "true"
            return response
        case .secretGone(let id, let location):
            var response = Problem(.alreadyCreated(id), requestID: context.requestID, createdID: id).response()
            response.headers[.idempotencyReplayed] = "true"
            if let location { response.headers[.location] = location }
            return response
        }
    }

    /// nil when there is no such header; 400 when it is no key, or there are several.
    private static func key(_ request: Request) throws(GatewayError) -> IdempotencyKey? {
        let values = request.headers[values: .idempotencyKey]
        guard let value = values.first else { return nil }
        guard values.count == 1, let key = IdempotencyKey(header: value) else {
            throw .invalidHeader("Idempotency-Key", IdempotencyKey.rule)
        }
        return key
    }
}
