public import JSON

/// A tool as its server describes it.
public struct MCPTool: Sendable, Hashable {
    public let name: String
    public let title: String?
    public let description: String?
    /// A JSON Schema object; what is in it was not checked further.
    public let inputSchema: RawJSON
    public let outputSchema: RawJSON?
    /// Parameters that the server wants in headers as well.
    let parameterHeaders: ParameterHeaders
}

/// What `tools/list` came to.
public struct MCPToolList: Sendable {
    public struct Refusal: Sendable, Hashable {
        public let tool: String
        public let reason: String

        public init(tool: String, reason: String) {
            self.tool = tool
            self.reason = reason
        }
    }

    public internal(set) var tools: [MCPTool] = []
    /// Tools that cannot be used as they are described; of many, the first.
    public internal(set) var refused: [Refusal] = []
    /// The server has more than is taken.
    public internal(set) var isCut = false
    /// How long the server says that the list is good; nil where it says nothing.
    public internal(set) var ttlMilliseconds: Int?
    public internal(set) var era: MCPEra
}
