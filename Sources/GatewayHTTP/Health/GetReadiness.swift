import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `GET /health/ready`: 503 without Postgres or with migrations missing; without Redis 200, `degraded`.
struct GetReadiness: OpenOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        let report = await gateway.health()
        return Answer.object(report.isReady ? .ok : .serviceUnavailable) { writer in
            writer.field("status", string: !report.isReady ? "unavailable" : report.isDegraded ? "degraded" : "ready")
            writer.key("checks")
            writer.beginArray()
            for check in report.checks {
                writer.beginObject()
                writer.field("name", string: check.name)
                writer.field("ok", bool: check.isUp)
                writer.field("detail", string: check.detail)
                writer.endObject()
            }
            writer.endArray()
        }
    }
}
