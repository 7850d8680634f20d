import AsyncHTTPClient
import JSON
import ServerSentEvents

/// 2026-07-28: stateless. Each request is a POST that says who asks and in which version; its answer is the response, as one JSON object or at
/// the end of a stream. Letting go of the response cancels the request; streams cannot be resumed.
struct ModernDialect: Dialect {
    let wire: Wire
    let ids: RequestIDs
    let notices: ServerNotices
    let client: MCPClientInfo

    var era: MCPEra { .modern }

    func request(_ call: RPCCall) async throws -> JSONNode {
        let id = ids.next()
        var headers = [
            MCPHeader(name: "mcp-protocol-version", value: ProtocolVersion.modern), MCPHeader(name: "mcp-method", value: call.method),
        ]
        if let name = call.name { headers.append(MCPHeader(name: "mcp-name", value: HeaderValue.encode(name))) }
        headers += call.parameterHeaders
        let response = try await wire.post(call.request(id: id, meta: meta), headers: headers)
        try await wire.check(response)
        let result = try await answer(to: id, in: response)
        switch result["resultType"]?.string {
        case nil, "complete", "input_required": return result
        case let type?: throw MCPError.malformed("its resultType is unknown", detail: type)
        }
    }

    private func answer(to id: Int, in response: HTTPClientResponse) async throws -> JSONNode {
        var waiting = AnswerWaiting(requestID: id, notices: notices, limits: wire.limits)
        switch response.mediaType {
        case "application/json":
            for message in try wire.messages(in: try await wire.body(of: response)) {
                if case .answer(let result) = try waiting.take(message) { return result }
            }
            throw MCPError.malformed("it answers another request")
        case "text/event-stream":
            var reader = EventReader(response, limits: wire.limits)
            var allowance = StreamAllowance(wire.limits)
            while let event = try await reader.next(&allowance) {
                guard event.type == "message" else { continue }
                for message in try wire.messages(in: event.data) {
                    // Requests of the server do not exist in this era, nor do answers to them: they are passed over.
                    if case .answer(let result) = try waiting.take(message) { return result }
                }
            }
            throw MCPError.interrupted("the stream ended without an answer")
        case let type:
            throw MCPError.malformed("it is neither JSON nor an event stream", detail: "\(response.statusCode) \(type)")
        }
    }

    private var meta: RawJSON {
        RawJSON.object { writer in
            writer.field("io.modelcontextprotocol/protocolVersion", string: ProtocolVersion.modern)
            writer.key("io.modelcontextprotocol/clientInfo")
            client.write(to: &writer)
            writer.field("io.modelcontextprotocol/clientCapabilities", raw: .emptyObject)
        }
    }
}

extension MCPClientInfo {
    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("name", string: name)
        writer.field("version", string: version)
        writer.endObject()
    }
}
