import AsyncHTTPClient
import JSON
import ServerSentEvents

/// A session of streamable HTTP, 2025-03-26 to 2025-11-25: opened by `initialize`, named by `Mcp-Session-Id` where the server keeps one. A
/// stream that ends too early is taken up again with `Last-Event-ID`, if the server gave its events ids.
struct LegacyDialect: Dialect {
    let wire: Wire
    let ids: RequestIDs
    let notices: ServerNotices
    /// nil: the server keeps no session.
    let sessionID: String?
    let version: String

    var era: MCPEra { .legacy }

    /// Opens a session.
    static func open(_ wire: Wire, _ ids: RequestIDs, _ notices: ServerNotices, _ client: MCPClientInfo) async throws -> LegacyDialect {
        let opening = LegacyDialect(wire: wire, ids: ids, notices: notices, sessionID: nil, version: "")
        let id = ids.next()
        let response = try await wire.post(Handshake.call(client).request(id: id), headers: [])
        try await wire.check(response)
        let sessionID = response.field("mcp-session-id")
        guard sessionID?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true, sessionID?.utf8.count ?? 1 <= 4096 else {
            throw MCPError.malformed("its session id is no visible ASCII")
        }
        let version = try Handshake.version(in: try await opening.answer(to: id, in: response))
        let dialect = LegacyDialect(wire: wire, ids: ids, notices: notices, sessionID: sessionID, version: version)
        try await wire.check(try await wire.post(Handshake.initialized, headers: dialect.headers), hasSession: sessionID != nil)
        return dialect
    }

    private var headers: [MCPHeader] {
        var headers: [MCPHeader] = []
        if let sessionID { headers.append(MCPHeader(name: "mcp-session-id", value: sessionID)) }
        // 2025-03-26 had no such header, and no server of its minds it.
        if !version.isEmpty { headers.append(MCPHeader(name: "mcp-protocol-version", value: version)) }
        return headers
    }

    func request(_ call: RPCCall) async throws -> JSONNode {
        let id = ids.next()
        do {
            let response = try await wire.post(call.request(id: id), headers: headers)
            try await wire.check(response, hasSession: sessionID != nil)
            return try await answer(to: id, in: response)
        } catch {
            // A connection that is let go of says nothing in this era.
            if Task.isCancelled { await giveUp(id) }
            throw error
        }
    }

    private func answer(to id: Int, in response: HTTPClientResponse) async throws -> JSONNode {
        var waiting = AnswerWaiting(requestID: id, notices: notices, limits: wire.limits)
        switch response.mediaType {
        case "application/json":
            let messages = try wire.messages(in: try await wire.body(of: response))
            if let result = try await find(in: messages, &waiting) { return result }
            throw MCPError.malformed("it answers another request")
        case "text/event-stream":
            return try await stream(response, &waiting)
        case let type:
            throw MCPError.malformed("it is neither JSON nor an event stream", detail: "\(response.statusCode) \(type)")
        }
    }

    private func stream(_ first: HTTPClientResponse, _ waiting: inout AnswerWaiting) async throws -> JSONNode {
        var allowance = StreamAllowance(wire.limits)
        var resumption = Resumption(wire.limits)
        var reader = EventReader(first, limits: wire.limits)
        while true {
            while let event = try await reader.next(&allowance) {
                guard event.type == "message", !event.data.isEmpty else { continue }
                let messages = try wire.messages(in: event.data)
                if let result = try await find(in: messages, &waiting) { return result }
            }
            try resumption.ended(lastEventID: reader.lastEventID, retryMilliseconds: reader.retryMilliseconds)
            try await Task.sleep(for: .milliseconds(resumption.delayMilliseconds))
            let response = try await wire.openStream(
                headers: headers + [MCPHeader(name: "last-event-id", value: resumption.lastEventID)])
            try await wire.check(response, hasSession: sessionID != nil)
            guard response.mediaType == "text/event-stream" else { throw MCPError.interrupted("the stream cannot be taken up again") }
            reader = EventReader(response, limits: wire.limits)
        }
    }

    private func find(in messages: [RPCMessage], _ waiting: inout AnswerWaiting) async throws -> JSONNode? {
        for message in messages {
            switch try waiting.take(message) {
            case .answer(let result): return result
            case .asked(let id, let method):
                // Where the answer does not arrive the server waits in vain, and so shall we: until the deadline.
                _ = try await wire.post(RPCCall.answer(to: id, method: method), headers: headers)
            case .ignored: break
            }
        }
        return nil
    }

    private func giveUp(_ id: Int) async {
        await sayGoodbye(within: wire.limits.farewellSeconds) {
            _ = try await wire.post(Handshake.cancellation(of: id), headers: headers)
        }
    }

    /// Ends the session; a server that does not allow it, or is away, forgets it by itself.
    func close() async {
        guard sessionID != nil else { return }
        await sayGoodbye(within: wire.limits.farewellSeconds) { _ = try await wire.delete(headers: headers) }
    }
}

/// Decides whether, and when, a stream that ended without its answer is taken up again.
private struct Resumption {
    private let limits: MCPLimits
    private var taken = 0
    private var vain = 0
    private(set) var lastEventID = ""
    private(set) var delayMilliseconds: Int

    init(_ limits: MCPLimits) {
        self.limits = limits
        delayMilliseconds = limits.reconnectionMilliseconds
    }

    mutating func ended(lastEventID: String, retryMilliseconds: Int?) throws(MCPError) {
        let isNew = !lastEventID.isEmpty && lastEventID != self.lastEventID
        if isNew { self.lastEventID = lastEventID }
        vain = isNew ? 0 : vain + 1
        taken += 1
        // What cannot stand in a header cannot be sent back.
        let isUsable =
            !self.lastEventID.isEmpty && self.lastEventID.utf8.count <= 4096
            && self.lastEventID.utf8.allSatisfy { (0x20...0x7E).contains($0) }
        guard isUsable, vain <= limits.maxVainReconnections, taken <= limits.maxReconnections else {
            throw .interrupted("the stream ended without an answer")
        }
        if let retryMilliseconds {
            let range = limits.reconnectionRangeMilliseconds
            delayMilliseconds = min(max(retryMilliseconds, range.lowerBound), range.upperBound)
        }
    }
}
