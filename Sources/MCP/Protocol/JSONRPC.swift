import JSON

/// An error that the server gave (JSON-RPC 2.0 §5.1).
struct RPCFailure: Error, Sendable {
    let code: Int
    let message: String
    let data: JSONNode?

    static let parseError = -32700
    static let methodNotFound = -32601
    static let invalidParameters = -32602
    static let headerMismatch = -32020
    static let missingCapability = -32021
    static let unsupportedVersion = -32022

    /// Given by servers of the modern era alone.
    var isModern: Bool { [Self.headerMismatch, Self.missingCapability, Self.unsupportedVersion].contains(code) }

    /// The versions that a server names with `unsupportedVersion`.
    var supportedVersions: [String]? {
        guard code == Self.unsupportedVersion, let supported = data?["supported"], supported.kind == .array else { return nil }
        return supported.elements.prefix(64).compactMap(\.string)
    }

    /// As servers of the handshake's era refuse a request that belongs to no session of theirs; nothing was begun then.
    private func isRefusalOfForm(_ httpStatus: Int?) -> Bool {
        [400, 404, 405].contains(httpStatus) && (code == -32600 || (-32019 ... -32000).contains(code))
    }

    func error(httpStatus: Int? = nil) -> MCPError {
        let kind: MCPError.Code =
            switch code {
            case Self.methodNotFound: .methodNotFound
            case Self.invalidParameters: .invalidParameters
            case Self.unsupportedVersion: .unsupportedVersion
            case Self.missingCapability: .inputRequired
            default: .rpcError
            }
        return MCPError(
            kind, "The MCP server answered with error \(code): \(message.printable(maxBytes: 2048))", httpStatus: httpStatus, rpcCode: code,
            doubtsEra: code == Self.unsupportedVersion || isRefusalOfForm(httpStatus), supportedVersions: supportedVersions ?? [])
    }
}

/// One message from a server.
enum RPCMessage: Sendable {
    /// `id` is nil where the server did not say which request it answers.
    case result(id: Int?, JSONNode)
    case failure(id: Int?, RPCFailure)
    /// The id in the server's own spelling.
    case request(id: RawJSON, method: String)
    case notification(method: String, params: JSONNode?)

    /// Every message of a text; 2025-03-26 allowed several in an array.
    static func all(in bytes: [UInt8], limit: Int) throws(MCPError) -> [RPCMessage] {
        let root: JSONNode
        do { root = try JSONDocument(parsing: bytes, limits: JSONLimits(maxBytes: limit)).root } catch {
            throw .malformed("it is no valid JSON", detail: "\(error)")
        }
        guard root.kind == .array else { return [try RPCMessage(root)] }
        guard root.count <= 256 else { throw .malformed("it holds more than 256 messages") }
        var messages: [RPCMessage] = []
        for element in root.elements { messages.append(try RPCMessage(element)) }
        return messages
    }

    init(_ node: JSONNode) throws(MCPError) {
        guard node.kind == .object, node["jsonrpc"]?.string == "2.0" else { throw .malformed("it is no JSON-RPC 2.0 message") }
        if let method = node["method"] {
            guard let name = method.string, name.utf8.count <= 256 else { throw .malformed("a method has no name") }
            guard let id = node["id"], !id.isNull else {
                self = .notification(method: name, params: node["params"])
                return
            }
            guard id.kind == .string || id.int != nil, id.raw.count <= 256 else { throw .malformed("a request has a strange id") }
            self = .request(id: id.rawJSON, method: name)
            return
        }
        let id = try Self.readID(node["id"])
        if let error = node["error"] {
            guard let code = error["code"]?.int else { throw .malformed("an error has no code") }
            self = .failure(id: id, RPCFailure(code: code, message: error["message"]?.string ?? "", data: error["data"]))
        } else if let result = node["result"], result.kind == .object {
            self = .result(id: id, result)
        } else {
            throw .malformed("a message is neither a request nor an answer")
        }
    }

    /// An id that we never gave out is -1, which is nobody's.
    private static func readID(_ node: JSONNode?) throws(MCPError) -> Int? {
        guard let node, !node.isNull else { return nil }
        guard node.kind == .string || node.kind == .number else { throw .malformed("an answer has a strange id") }
        return node.int ?? -1
    }
}

/// A request as it is made, before a dialect has put it into its form.
struct RPCCall: Sendable {
    let method: String
    /// Members of `params`.
    var parameters: [(key: String, value: RawJSON)] = []
    /// The tool's name, which the modern era repeats in a header.
    var name: String?
    /// `Mcp-Param-…` of the modern era.
    var parameterHeaders: [MCPHeader] = []

    func request(id: Int, meta: RawJSON? = nil) -> RawJSON {
        RawJSON.object { writer in
            writer.field("jsonrpc", string: "2.0")
            writer.field("id", int: id)
            writer.field("method", string: method)
            writeParameters(&writer, meta)
        }
    }

    func notification() -> RawJSON {
        RawJSON.object { writer in
            writer.field("jsonrpc", string: "2.0")
            writer.field("method", string: method)
            if !parameters.isEmpty { writeParameters(&writer, nil) }
        }
    }

    private func writeParameters(_ writer: inout JSONWriter, _ meta: RawJSON?) {
        writer.key("params")
        writer.beginObject()
        writer.field("_meta", rawIfPresent: meta)
        for (key, value) in parameters { writer.field(key, raw: value) }
        writer.endObject()
    }

    /// What is answered to a request of the server: a ping gets its empty result, everything else is not to be had here.
    static func answer(to id: RawJSON, method: String) -> RawJSON {
        RawJSON.object { writer in
            writer.field("jsonrpc", string: "2.0")
            writer.field("id", raw: id)
            if method == "ping" {
                writer.field("result", raw: .emptyObject)
            } else {
                writer.key("error")
                writer.beginObject()
                writer.field("code", int: RPCFailure.methodNotFound)
                writer.field("message", string: "Method not found")
                writer.endObject()
            }
        }
    }

    static func json(_ text: String) -> RawJSON {
        var writer = JSONWriter()
        writer.string(text)
        return RawJSON(trusted: writer.bytes)
    }
}
