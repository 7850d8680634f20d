/// A header field that goes with each request to a server.
public struct MCPHeader: Sendable, Hashable {
    public let name: String
    public let value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// Where a server is, and how it is spoken to.
public struct MCPServer: Sendable, Hashable {
    /// Which transport a server offers at its URL.
    public enum Transport: String, Sendable, CaseIterable {
        /// Found out by asking.
        case automatic = "auto"
        /// Streamable HTTP, of either era (2025-03-26 and later).
        case http
        /// HTTP+SSE (2024-11-05).
        case sse
    }

    /// The MCP endpoint, or the SSE endpoint of an HTTP+SSE server.
    public let url: String
    public let transport: Transport
    /// Those that the protocol itself sets are left out: see `reservedHeaders`.
    public let headers: [MCPHeader]
    /// What is found out about a server is shared by those who name the same partition only, for headers may lead to another server.
    public let partition: String

    public init(url: String, transport: Transport = .automatic, headers: [MCPHeader] = [], partition: String = "") {
        self.url = url
        self.transport = transport
        self.headers = headers.filter { !Self.isReserved($0.name) }
        self.partition = partition
    }

    private static let reservedHeaders: Set<String> = [
        "accept", "connection", "content-length", "content-type", "host", "keep-alive", "last-event-id", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    /// Set by the protocol or the connection; nobody else's to set.
    public static func isReserved(_ name: String) -> Bool {
        let name = name.lowercased()
        return reservedHeaders.contains(name) || name.hasPrefix("mcp-")
    }
}

/// How this client calls itself (`clientInfo`).
public struct MCPClientInfo: Sendable, Hashable {
    public let name: String
    public let version: String

    public init(name: String, version: String) {
        self.name = name
        self.version = version
    }
}
