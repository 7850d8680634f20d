import Domain
import Hummingbird
import JSON
import Runtime

/// `GET /health`: the process answers.
struct GetHealth: OpenOperation {
    init(gateway: Gateway) {}

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        Answer.object(capacity: 32) { $0.field("status", string: "ok") }
    }
}
