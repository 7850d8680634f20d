public import AsyncHTTPClient
import JSON
import NIOCore
import NIOHTTP1

/// One HTTP request, made by whoever may make connections: he checks the address, and follows redirects only if he checks those too.
/// An `MCPError` that he throws goes to the caller as it is; any other error means that the server cannot be reached. The body streams, and
/// a response that is let go of gives up its connection.
public typealias MCPExchange = @Sendable (HTTPClientRequest) async throws -> HTTPClientResponse

/// Takes out of what a server says what must not be repeated, before anything of it is read, shortened, or shown. JSON stays JSON.
public typealias MCPWithholding = @Sendable (_ said: [UInt8]) -> [UInt8]

/// Requests to one server, and what their failures mean.
struct Wire: Sendable {
    let server: MCPServer
    let exchange: MCPExchange
    let withholding: MCPWithholding
    let limits: MCPLimits

    /// Every message of a body, or of an event's data.
    func messages(in bytes: [UInt8]) throws(MCPError) -> [RPCMessage] {
        try RPCMessage.all(in: withholding(bytes), limit: limits.maxMessageBytes)
    }

    func post(_ body: RawJSON, to url: String? = nil, headers: [MCPHeader]) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: url ?? server.url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        request.headers.add(name: "accept", value: "application/json, text/event-stream")
        request.body = .bytes(ByteBuffer(bytes: body.bytes))
        return try await send(request, headers)
    }

    func openStream(headers: [MCPHeader]) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: server.url)
        request.headers.add(name: "accept", value: "text/event-stream")
        return try await send(request, headers)
    }

    func delete(headers: [MCPHeader]) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: server.url)
        request.method = .DELETE
        return try await send(request, headers)
    }

    private func send(_ request: HTTPClientRequest, _ headers: [MCPHeader]) async throws -> HTTPClientResponse {
        var request = request
        for header in headers + server.headers { request.headers.add(name: header.name, value: header.value) }
        do {
            return try await exchange(request)
        } catch let error as MCPError {
            throw error
        } catch {
            try Task.checkCancellation()
            throw MCPError(.unreachable, "The MCP server cannot be reached.", detail: "\(error)")
        }
    }

    /// Throws what a status other than success means; `hasSession` where a 404 says that the session is over.
    func check(_ response: HTTPClientResponse, hasSession: Bool = false) async throws {
        let status = response.statusCode
        guard !(200...299).contains(status) else { return }
        switch status {
        case 300...399:
            throw MCPError(
                .redirected, "The MCP server redirects (\(status)), which is not followed; put its final address into the server's url.",
                detail: withheld(response.field("location")) ?? "", httpStatus: status)
        case 401, 403:
            throw Self.unauthorized(status, challenge: withheld(response.field("www-authenticate")))
        default: break
        }
        let (body, isShortened) = try await errorBody(response)
        // The era of 2026-07-28 gives its errors with a status; so may others. Of what was shortened nothing is read: of a credential at its
        // end the beginning would be left, which nobody recognises.
        if !isShortened, let failure = Self.failure(in: withholding(body)) {
            if status == 404, hasSession { throw Self.status(status, body: body, lostSession: true) }
            throw failure.error(httpStatus: status)
        }
        throw Self.status(status, body: body, lostSession: status == 404 && hasSession)
    }

    private func withheld(_ field: String?) -> String? {
        field.map { String(decoding: withholding(Array($0.utf8)), as: UTF8.self) }
    }

    private static func status(_ status: Int, body: [UInt8], lostSession: Bool) -> MCPError {
        MCPError(
            status == 429 ? .rateLimited : .serverError, "The MCP server answered with HTTP status \(status).",
            detail: "a body of \(body.count) bytes", httpStatus: status,
            doubtsEra: !lostSession && [400, 404, 405, 406, 415].contains(status), lostSession: lostSession)
    }

    /// RFC 9110 §11.6.1. Scheme and error only: the rest of a challenge is for machines.
    private static func unauthorized(_ status: Int, challenge: String?) -> MCPError {
        var said = ""
        if let challenge {
            let scheme = challenge.prefix { $0 != " " && $0 != "," }.prefix(32)
            said = " (\(scheme)"
            if let start = challenge.firstRange(of: "error=\"") {
                said += ", \(challenge[start.upperBound...].prefix { $0 != "\"" }.prefix(64))"
            }
            said += ")"
        }
        let wanted = status == 401 ? "wants credentials, or others" : "forbids it to these credentials"
        return MCPError(
            .unauthorized, "The MCP server \(wanted): \(status)\(said.printable(maxBytes: 128)). Check the server's headers.",
            detail: challenge ?? "", httpStatus: status)
    }

    /// A response that was given in place of a success, where it is a JSON-RPC error.
    static func failure(in body: [UInt8]) -> RPCFailure? {
        guard let root = try? JSONDocument(parsing: body).root, case .failure(_, let failure)? = try? RPCMessage(root) else { return nil }
        return failure
    }

    private func errorBody(_ response: HTTPClientResponse) async throws -> (bytes: [UInt8], isShortened: Bool) {
        var bytes: [UInt8] = []
        var isBroken = false
        var body = response.body.makeAsyncIterator()
        do {
            while bytes.count <= limits.maxErrorBodyBytes, let buffer = try await body.next() {
                bytes.append(contentsOf: buffer.readableBytesView.prefix(limits.maxErrorBodyBytes + 1 - bytes.count))
            }
        } catch {
            // The status alone says enough.
            isBroken = true
        }
        try Task.checkCancellation()
        return (bytes, isBroken || bytes.count > limits.maxErrorBodyBytes)
    }

    /// The whole of a JSON answer.
    func body(of response: HTTPClientResponse) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var body = response.body.makeAsyncIterator()
        while true {
            let buffer: ByteBuffer?
            do { buffer = try await body.next() } catch {
                try Task.checkCancellation()
                throw MCPError.interrupted("\(error)")
            }
            // A canceled sequence may just end.
            try Task.checkCancellation()
            guard let buffer else { return bytes }
            guard bytes.count + buffer.readableBytes <= limits.maxMessageBytes else {
                throw MCPError.tooLarge("its body", bytes: limits.maxMessageBytes)
            }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
    }
}

extension HTTPClientResponse {
    var statusCode: Int { Int(status.code) }

    func field(_ name: String) -> String? { headers.first(name: name) }

    /// In lower case, without parameters.
    var mediaType: String {
        let field = field("content-type") ?? ""
        let type = field.prefix { $0 != ";" }.lowercased()
        return String(type.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
