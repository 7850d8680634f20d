import AsyncHTTPClient
import NIOCore
import ServerSentEvents

/// What the streams of one answer may cost together, so that a reconnection does not start the count anew.
struct StreamAllowance {
    private(set) var bytes: Int
    private(set) var events: Int

    init(_ limits: MCPLimits) {
        bytes = limits.maxStreamBytes
        events = limits.maxEventsPerAnswer
    }

    mutating func take(bytes count: Int) throws(MCPError) {
        bytes -= count
        guard bytes >= 0 else { throw MCPError(.tooLarge, "The MCP server's answer is too large: its stream does not end.") }
    }

    mutating func takeEvent() throws(MCPError) {
        events -= 1
        guard events >= 0 else { throw MCPError(.tooLarge, "The MCP server's answer is too large: it sends more and more events.") }
    }
}

/// The events of one response, in order.
struct EventReader {
    private var body: HTTPClientResponse.Body.AsyncIterator
    private var parser: SSEParser
    private var ready: ArraySlice<ServerSentEvent> = []
    private let maxEventBytes: Int

    init(_ response: HTTPClientResponse, limits: MCPLimits) {
        body = response.body.makeAsyncIterator()
        maxEventBytes = limits.maxMessageBytes
        parser = SSEParser(limits: .init(maxLineBytes: limits.maxMessageBytes, maxEventBytes: limits.maxMessageBytes))
    }

    /// Where a reconnection goes on; empty when the server gave no ids.
    private(set) var lastEventID = ""
    var retryMilliseconds: Int? { parser.retryMilliseconds }

    /// nil at the end of the stream, also where the connection broke: `isBroken` tells them apart.
    private(set) var isBroken = false

    mutating func next(_ allowance: inout StreamAllowance) async throws -> ServerSentEvent? {
        while true {
            if let event = ready.popFirst() {
                // Events that came in one piece with this one are not seen yet.
                lastEventID = event.lastEventID
                try allowance.takeEvent()
                return event
            }
            lastEventID = parser.lastEventID
            let buffer: ByteBuffer?
            do { buffer = try await body.next() } catch {
                try Task.checkCancellation()
                isBroken = true
                return nil
            }
            try Task.checkCancellation()
            guard let buffer else { return nil }
            try allowance.take(bytes: buffer.readableBytes)
            do { ready = try parser.parse(buffer)[...] } catch { throw MCPError.tooLarge("one event", bytes: maxEventBytes) }
        }
    }
}
