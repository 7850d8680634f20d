import Domain
import HTTPTypes
import Hummingbird
import Logging
import JSON
import NIOCore
import Runtime
import Storage

/// `GET /api/runs/{runId}/stream`: server-sent events from any seq of the run's life; resumes with `Last-Event-ID` or `since`.
/// A page shows its run token in `Authorization` or, from an `EventSource`, as `token`.
struct StreamRun: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        let scope = context.scope
        guard let position = try await gateway.database.tenant(scope).position(of: id) else { throw GatewayError.notFound("run") }
        let cursor = try StreamOpening.cursor(request)
        // 204 makes EventSource stop asking (WHATWG HTML, server-sent events).
        if position.status.isTerminal, cursor >= position.lastSeq { return Answer.noContent() }
        // Behind what may still answer otherwise, in front of the answer's head.
        let share = try gateway.runTokens.openStream(context.principal)
        let sink = FeedSink(channel: context.channel, frame: EventChunk.frame, write: EventChunk.write)
        let (feeds, holds, tokens) = (gateway.feeds, gateway.keyHolds, gateway.runTokens)
        let (principal, channel) = (context.principal, context.channel)
        // A cursor ahead of a live run waits there: what it has not seen yet begins after it.
        let lastSeq = position.lastSeq
        let place = context.place
        return Response(
            status: .ok, headers: Self.headers,
            body: ResponseBody { writer in
                defer { place?.release() }
                defer { withExtendedLifetime(share) {} }
                // Sent at once, so that the response's head has gone before live events are written beside this writer.
                try await writer.write(Self.preamble)
                do {
                    // A stream ends with its key or token, also one whose client takes nothing: hence the connection, not the writer.
                    _ = try await holds.withHold(principal, end: { channel.close(promise: nil) }) {
                        try await tokens.requireStillGood(principal)
                        return try await feeds.follow(scope, id, after: cursor, lastSeq: lastSeq, sink: sink) { try await writer.write($0) }
                    }
                } catch {
                    // The client resumes from its last id; an error could not be told inside the stream anyway.
                    context.logger.info("stream cut", metadata: ["run": "\(id)", "cause": "\(error)"])
                    throw error
                }
                try await writer.finish(nil)
            })
    }

    private static let preamble = ByteBuffer(string: "retry: 1000\n\n")
    private static let headers: HTTPFields = [
        .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store", .connection: "close",
        // nginx would hold events back otherwise.
        HTTPField.Name("X-Accel-Buffering") ?? .range: "no",
    ]
}
