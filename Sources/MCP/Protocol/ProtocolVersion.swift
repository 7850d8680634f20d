/// What a server speaks. The era is a property of the server, not of a request (2026-07-28, Versioning).
public enum MCPEra: String, Sendable, CaseIterable {
    /// 2026-07-28: stateless; each request says who asks and in which version.
    case modern
    /// 2025-03-26 to 2025-11-25: a session opened by `initialize`, over streamable HTTP.
    case legacy
    /// 2024-11-05: a session of one event stream, with requests posted beside it.
    case eventStream = "http+sse"
}

enum ProtocolVersion {
    static let modern = "2026-07-28"
    /// Those with a handshake, newest first. A server may agree to any of them, over either transport.
    static let handshake = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
    static let newestHandshake = "2025-11-25"
}
