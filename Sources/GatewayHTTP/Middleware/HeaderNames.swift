import HTTPTypes

/// Field names that the HTTP library does not know.
extension HTTPField.Name {
    // Literals that are valid names; the initializer fails for others only.
    static func known(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .init("X-Unnamed") ?? .range }

    static let xRequestID = known("X-Request-Id")
    static let xForwardedFor = known("X-Forwarded-For")
    static let traceparent = known("traceparent")
    static let xContentTypeOptions = known("X-Content-Type-Options")
    static let secWebSocketVersion = known("Sec-WebSocket-Version")
    static let secWebSocketProtocol = known("Sec-WebSocket-Protocol")
    static let secWebSocketKey = known("Sec-WebSocket-Key")
    static let idempotencyKey = known("Idempotency-Key")
    static let idempotencyReplayed = known("Idempotency-Replayed")
}
