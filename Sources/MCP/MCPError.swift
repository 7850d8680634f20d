/// Why a server could not be used, or what it refused. The message is fit for a model and for a tenant; the detail is for the log.
public struct MCPError: Error, Sendable, Hashable {
    public enum Code: String, Sendable, CaseIterable {
        /// No connection, or it broke before an answer began.
        case unreachable = "mcp_unreachable"
        /// Not allowed to be reached, says who makes the connections.
        case refused = "mcp_refused"
        case timeout = "mcp_timeout"
        /// 401 or 403.
        case unauthorized = "mcp_unauthorized"
        case redirected = "mcp_redirected"
        /// 429.
        case rateLimited = "mcp_rate_limited"
        /// Another HTTP status that is no success.
        case serverError = "mcp_server_error"
        /// The answer broke off.
        case interrupted = "mcp_interrupted"
        /// The answer is not what the protocol says.
        case badAnswer = "mcp_bad_answer"
        case tooLarge = "mcp_answer_too_large"
        case unsupportedVersion = "mcp_unsupported_version"
        /// JSON-RPC -32602.
        case invalidParameters = "mcp_invalid_parameters"
        /// JSON-RPC -32601.
        case methodNotFound = "mcp_method_not_found"
        /// Any other JSON-RPC error.
        case rpcError = "mcp_error"
        /// The tool wants something of a user or a model, which this client cannot give.
        case inputRequired = "mcp_input_required"
    }

    public let code: Code
    public let message: String
    public let detail: String
    public let httpStatus: Int?
    public let rpcCode: Int?
    /// The request was answered as by a server of another era, or of none: what is known about it may be out of date.
    let doubtsEra: Bool
    /// The server knows the session no more.
    let lostSession: Bool
    /// Versions that a server named as its own when it refused ours.
    let supportedVersions: [String]

    public init(_ code: Code, _ message: String, detail: String = "") {
        self.init(code, message, detail: detail, httpStatus: nil)
    }

    init(
        _ code: Code, _ message: String, detail: String = "", httpStatus: Int?, rpcCode: Int? = nil, doubtsEra: Bool = false,
        lostSession: Bool = false, supportedVersions: [String] = []
    ) {
        self.code = code
        self.message = message
        self.detail = detail.printable(maxBytes: 1024)
        self.httpStatus = httpStatus
        self.rpcCode = rpcCode
        self.doubtsEra = doubtsEra
        self.lostSession = lostSession
        self.supportedVersions = supportedVersions
    }

    static func malformed(_ reason: String, detail: String = "") -> MCPError {
        MCPError(.badAnswer, "The MCP server's answer cannot be used: \(reason).", detail: detail)
    }

    static func tooLarge(_ what: String, bytes: Int) -> MCPError {
        MCPError(.tooLarge, "The MCP server's answer is too large: \(what) is more than \(bytes) bytes.")
    }

    static func interrupted(_ detail: String = "") -> MCPError {
        MCPError(.interrupted, "The MCP server broke its answer off.", detail: detail)
    }

    static let timedOut = MCPError(.timeout, "The MCP server did not answer in time.")
}

extension String {
    /// The longest prefix of at most so many bytes that does not cut a scalar.
    func prefix(utf8Bytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: max(limit, 0))
        while end > startIndex, UTF8.isContinuation(utf8[end]) { end = utf8.index(before: end) }
        return String(self[..<end])
    }

    /// What a server wrote, fit for a message or a log: on one line, bounded.
    func printable(maxBytes: Int) -> String {
        let line = String(String.UnicodeScalarView(unicodeScalars.map { $0.properties.isControl ? " " : $0 }))
        return line.utf8.count <= maxBytes ? line : line.prefix(utf8Bytes: maxBytes) + "…"
    }
}

extension Unicode.Scalar.Properties {
    fileprivate var isControl: Bool {
        switch generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
