import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `GET /api/runs/{runId}/events`: the log from Postgres, after a seq, bounded in events and in bytes. `nextCursor` is the last seq sent,
/// null at the log's end.
struct ListRunEvents: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        var query = try QueryReader(request)
        let after = try query.int("after", in: 0...Int64.max)
        let limit = try query.int("limit", in: 1...Int64(Limits.maxEventsPageSize)) ?? Int64(Limits.defaultPageSize)
        // What `nextCursor` said may be sent back under either name.
        let cursor = try query.int("cursor", in: 0...Int64.max)
        let types = try Self.types(query.string("types"))
        try query.finish()
        guard after == nil || cursor == nil else { throw GatewayError.invalidQuery("cursor", "must be absent where after is given") }
        let page = try await gateway.runs.events(context.scope, id, after: after ?? cursor ?? 0, limit: Int(limit), types: types)
        var bytes: [UInt8] = []
        return Answer.object(capacity: 256 + page.items.reduce(0) { $0 + $1.data.bytes.count + 160 }) { writer in
            writer.key("data")
            writer.beginArray()
            for event in page.items {
                bytes.removeAll(keepingCapacity: true)
                event.appendEnvelope(run: id, to: &bytes)
                writer.raw(bytes: bytes)
            }
            writer.endArray()
            writer.field("nextCursor", stringOrNull: page.next)
        }
    }

    private static func types(_ text: String?) throws(GatewayError) -> Set<RunEventType>? {
        guard let text else { return nil }
        var types: Set<RunEventType> = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let type = RunEventType(rawValue: String(name)) else {
                throw .invalidQuery("types", "must be names of run events, separated by commas, such as run.created,assistant.message")
            }
            types.insert(type)
        }
        return types
    }
}
