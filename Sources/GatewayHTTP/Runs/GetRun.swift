import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `GET /api/runs/{runId}`: the projection, the calls that wait for an outcome, and with `include=messages` the conversation.
struct GetRun: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        let includesMessages = request.uri.query == nil ? false : try Self.includesMessages(request)
        let run = try await gateway.runs.get(context.scope, id)
        // A run that is queued or over has no open call: spare it the second look.
        let hasOpenCalls = run.status == .running || run.status == .waitingTool
        let pending = hasOpenCalls ? try await gateway.runs.pendingCalls(context.scope, id) : []
        let messages = includesMessages ? try await gateway.runs.messages(context.scope, id) : nil
        return Answer.object { writer in
            run.write(to: &writer)
            writer.key("pendingCalls")
            writer.beginArray()
            for call in pending {
                writer.beginObject()
                if context.principal.runToken == nil { call.write(to: &writer) } else { PageCall(call).write(to: &writer) }
                writer.endObject()
            }
            writer.endArray()
            guard let messages else { return }
            writer.key("messages")
            writer.beginArray()
            for message in messages { message.write(to: &writer) }
            writer.endArray()
        }
    }

    private static func includesMessages(_ request: Request) throws(GatewayError) -> Bool {
        var query = try QueryReader(request)
        let include = query.string("include")
        try query.finish()
        guard include == nil || include == "messages" else { throw .invalidQuery("include", "must be messages") }
        return include != nil
    }
}
