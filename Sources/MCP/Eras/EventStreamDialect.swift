import AsyncHTTPClient
import JSON
import ServerSentEvents

/// HTTP+SSE, 2024-11-05: a session is one event stream, and lives as long as it. The server names an endpoint, requests are posted there,
/// answers come on the stream. Used by one task.
final class EventStreamDialect: Dialect {
    private let wire: Wire
    private let ids: RequestIDs
    private let notices: ServerNotices
    private let endpoint: String
    private var reader: EventReader
    private let fail: Failing

    var era: MCPEra { .eventStream }

    /// Opens the stream and waits for the endpoint. `fail` ends the operation that all this is for: a request that is refused where it was
    /// posted never has its answer on the stream.
    init(connecting wire: Wire, _ ids: RequestIDs, _ notices: ServerNotices, fail: @escaping Failing) async throws {
        let response = try await wire.openStream(headers: [])
        try await wire.check(response)
        guard response.mediaType == "text/event-stream" else {
            throw MCPError(
                .badAnswer, "The MCP server's answer cannot be used: it offers no event stream.",
                detail: "\(response.statusCode) \(response.mediaType)", httpStatus: nil, doubtsEra: true)
        }
        var reader = EventReader(response, limits: wire.limits)
        var allowance = StreamAllowance(wire.limits)
        guard let event = try await reader.next(&allowance) else { throw MCPError.interrupted("the stream ended before it began") }
        guard event.type == "endpoint" else { throw MCPError.malformed("its stream does not begin with an endpoint") }
        endpoint = try StreamEndpoint.resolve(String(decoding: event.data, as: UTF8.self), against: wire.server.url)
        self.wire = wire
        self.ids = ids
        self.notices = notices
        self.reader = reader
        self.fail = fail
    }

    func initialize(_ client: MCPClientInfo) async throws {
        _ = try Handshake.version(in: try await request(Handshake.call(client)))
        try await wire.check(try await wire.post(Handshake.initialized, to: endpoint, headers: []))
    }

    func request(_ call: RPCCall) async throws -> JSONNode {
        let id = ids.next()
        let (wire, endpoint, fail) = (wire, endpoint, fail)
        do {
            // A server may hold its acknowledgement back until the answer is on the stream, so both are waited for at once. It has no
            // value, and once the answer is there it is not waited for.
            async let _: Void = {
                do { try await wire.check(try await wire.post(call.request(id: id), to: endpoint, headers: [])) } catch {
                    if !Task.isCancelled { fail(error) }
                }
            }()
            return try await answer(to: id)
        } catch {
            if Task.isCancelled, call.method != "initialize" {
                await sayGoodbye(within: wire.limits.farewellSeconds) {
                    _ = try await wire.post(Handshake.cancellation(of: id), to: endpoint, headers: [])
                }
            }
            throw error
        }
    }

    private func answer(to id: Int) async throws -> JSONNode {
        var waiting = AnswerWaiting(requestID: id, notices: notices, limits: wire.limits)
        var allowance = StreamAllowance(wire.limits)
        while let event = try await reader.next(&allowance) {
            guard event.type == "message", !event.data.isEmpty else { continue }
            for message in try wire.messages(in: event.data) {
                switch try waiting.take(message) {
                case .answer(let result): return result
                case .asked(let id, let method):
                    _ = try await wire.post(RPCCall.answer(to: id, method: method), to: endpoint, headers: [])
                case .ignored: break
                }
            }
        }
        throw MCPError.interrupted("the stream ended without an answer")
    }
}

/// Where requests of an HTTP+SSE session go. Never to another origin: the tenant's headers go there too.
enum StreamEndpoint {
    static func resolve(_ text: String, against base: String) throws(MCPError) -> String {
        guard !text.isEmpty, text.utf8.count <= 4096, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw .malformed("its endpoint is no URL")
        }
        guard let origin = origin(of: base) else { throw .malformed("its own URL has no origin") }
        if text.hasPrefix("//") { throw .malformed("its endpoint is at another origin", detail: text) }
        if text.hasPrefix("/") { return origin + text }
        let path = base.dropFirst(origin.count).prefix { $0 != "?" && $0 != "#" }
        if text.hasPrefix("?") { return origin + path + text }
        let scheme = text.prefix { $0 != ":" && $0 != "/" && $0 != "?" }
        if text.dropFirst(scheme.count).hasPrefix(":") {
            guard let other = Self.origin(of: text), other.lowercased() == origin.lowercased() else {
                throw .malformed("its endpoint is at another origin", detail: text)
            }
            return text
        }
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return origin + folder + text
    }

    /// `https://host:port`.
    private static func origin(of url: String) -> String? {
        guard let separator = url.firstRange(of: "://") else { return nil }
        let scheme = url[..<separator.lowerBound].lowercased()
        let authority = url[separator.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard scheme == "http" || scheme == "https", !authority.isEmpty, !authority.contains("@"), !authority.contains("\\") else {
            return nil
        }
        return String(url[..<authority.endIndex])
    }
}
