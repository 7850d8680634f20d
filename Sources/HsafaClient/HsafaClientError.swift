import JSON

/// What went wrong with a request: a refusal by the gateway (problem+json, RFC 9457) or a failure on the way.
public struct HsafaClientError: Error, Sendable, CustomStringConvertible {
    /// A field that the gateway refused; `pointer` per RFC 6901.
    public struct PointerError: Sendable, Equatable {
        public let pointer: String
        public let message: String

        public init(pointer: String, message: String) {
            self.pointer = pointer
            self.message = message
        }
    }

    /// HTTP status, nil when there was no usable answer.
    public let status: Int?
    /// The problem's `code`, or one of the client's own: `unreachable`, `malformed_response`, `invalid_request`, `stream_out_of_order`.
    public let code: String
    public let detail: String
    public let errors: [PointerError]
    public let requestId: String?
    public let retryAfterSeconds: Int?

    public init(
        status: Int?, code: String, detail: String, errors: [PointerError] = [], requestId: String? = nil, retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.requestId = requestId
        self.retryAfterSeconds = retryAfterSeconds
    }

    public var isUnreachable: Bool { code == "unreachable" }

    /// Another attempt may succeed without a change of the request.
    public var isTransient: Bool {
        guard let status else { return isUnreachable }
        return status == 408 || status == 429 || status >= 500
    }

    public var description: String {
        var text = detail
        if let status { text += " (\(code), HTTP \(status)" } else { text += " (\(code)" }
        if let requestId { text += ", request \(requestId)" }
        text += ")"
        for error in errors {
            text += "\n  \(error.pointer.isEmpty ? "(document)" : error.pointer): \(error.message)"
        }
        return text
    }
}

extension HsafaClientError {
    /// Reads a refusal; a body that is no problem document still gives a clear error.
    init(status: Int, requestId headerRequestId: String?, retryAfter: String?, body: [UInt8]) {
        let root = (try? JSONDocument(parsing: body))?.root
        var errors: [PointerError] = []
        for element in (root?["errors"]?.elements).map(Array.init) ?? [] {
            errors.append(.init(pointer: element["pointer"]?.string ?? "", message: element["message"]?.string ?? "is not accepted"))
        }
        self.init(
            status: status,
            code: root?["code"]?.string ?? "http_\(status)",
            detail: root?["detail"]?.string ?? root?["title"]?.string ?? "The server answered with status \(status).",
            errors: errors,
            requestId: root?["requestId"]?.string ?? headerRequestId,
            retryAfterSeconds: retryAfter.flatMap { Int($0) })
    }

    static func malformed(_ detail: String, requestId: String? = nil) -> HsafaClientError {
        HsafaClientError(status: nil, code: "malformed_response", detail: detail, requestId: requestId)
    }
}
