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
        let key = try Self.key(request)
        let (whole, draft) = try await read(request, context)
        let create: @Sendable (TenantDatabase) async throws -> (Operation.Created, CreationAnswer) = { [operation] tenant in
            let created = try await operation.create(draft, in: tenant, context)
            return (created, operation.answer(created))
        }
        let home = operation.home(of: draft, context)
        guard let key else { return respond(try await creations.plain(home, create), context) }
        let once = IdempotentRequest(
            key, principalID: context.principal.keyID, operation: operationID, method: request.method.rawValue, path: request.uri.path,
            query: request.uri.query, contentType: request.headers[.contentType], body: whole.bytes)
        return respond(try await creations.once(once, home, create), context)
    }

    private func read(_ request: Request, _ context: Operation.Context) async throws -> (CreationRequest, Operation.Draft) {
        let bodiless = CreationRequest(head: request.head, bytes: [])
        return try await afterExistence {
            try await operation.requireParent(bodiless, context)
        } _: {
            let whole = CreationRequest(head: request.head, bytes: try await JSONBody.collect(request, maxBytes: Limits.maxBodyBytes))
            return (whole, try await operation.read(whole, context))
        }
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
