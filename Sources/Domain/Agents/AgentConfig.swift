import Cryptography
public import JSON

/// A version of an agent: what is published, checked once and never changed.
public struct AgentConfig: Sendable, Hashable {
    public struct Model: Sendable, Hashable {
        public let provider: String
        public let name: String
        public let baseURL: String?
        /// As it is, or `${secret.NAME}`.
        public let apiKey: String?
        public let apiKeySecret: String?
        public let temperature: Double?
        public let maxOutputTokens: Int?
        public let providerOptions: RawJSON?
        /// The script of the `simulated` provider.
        public let script: RawJSON?

        /// `provider/name`, as usage is counted.
        public var label: String { name.isEmpty ? provider : "\(provider)/\(name)" }
    }

    public let agentName: String
    public let description: String?
    public let system: String?
    public let model: Model
    public let maxSteps: Int
    /// auto, none or required.
    public let toolChoice: String
    public private(set) var tools: [ToolDefinition]
    public let mcpServers: [MCPServerConfig]

    /// All secrets that it names.
    public var secretNames: Set<String> {
        let ofTools = tools.reduce(into: Set<String>(model.apiKeySecret.map { [$0] } ?? [])) { $0.formUnion($1.secretNames) }
        return mcpServers.reduce(into: ofTools) { $0.formUnion($1.secretNames) }
    }

    /// Byte for byte: policies and hashes of calls go by bytes, and Swift's `==` takes other spellings of a character for the same.
    public func tool(named name: String) -> ToolDefinition? { tools.first { $0.name.utf8.elementsEqual(name.utf8) } }
}

extension AgentConfig {
    public static let formatVersion = "1.0"
    public static let knownProviders = ["openai-compatible", "simulated"]

    /// Reads and checks a config; the first fault is thrown with its pointer.
    public init(reading node: JSONNode, at pointer: String = "") throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        let version = try reader.string("version", maxBytes: 16)
        guard version == Self.formatVersion else {
            throw JSONViolation(pointer: reader.pointer(to: "version"), message: "must be \"\(Self.formatVersion)\", the format's version")
        }
        var agent = try reader.object("agent")
        agentName = try Names.read("name", from: &agent)
        description = try agent.optionalString("description", maxBytes: Limits.maxDescriptionBytes)
        system = try agent.optionalString("system", maxBytes: Limits.maxSystemPromptBytes)
        try agent.finish()
        let modelPointer = reader.pointer(to: "model")
        model = try Model(reading: try reader.node("model"), at: modelPointer)
        if var loop = try reader.optionalObject("loop") {
            maxSteps = try loop.optionalInt("maxSteps", in: 1...Limits.maxSteps) ?? Limits.defaultSteps
            toolChoice = try loop.optionalString("toolChoice", maxBytes: 16) ?? "auto"
            guard ["auto", "none", "required"].contains(toolChoice) else {
                throw JSONViolation(pointer: loop.pointer(to: "toolChoice"), message: "must be auto, none or required")
            }
            try loop.finish()
        } else {
            maxSteps = Limits.defaultSteps
            toolChoice = "auto"
        }
        tools = try Self.readTools(&reader)
        mcpServers = try MCPServerConfig.readAll(&reader, tools: tools)
        try reader.finish()
    }

    /// What a config that is to be published must fulfil beyond being readable.
    public func checkNew(at pointer: String = "") throws(JSONViolation) {
        for (index, tool) in tools.enumerated() { try tool.checkNew(at: "\(pointer)/tools/\(index)") }
    }

    private static func readTools(_ reader: inout JSONObjectReader) throws(JSONViolation) -> [ToolDefinition] {
        let pointer = reader.pointer(to: "tools")
        guard let node = try reader.optionalNode("tools") else { return [] }
        guard node.kind == .array, node.count <= Limits.maxTools else {
            throw JSONViolation(pointer: pointer, message: "must be an array of at most \(Limits.maxTools) tools")
        }
        var tools: [ToolDefinition] = []
        var schemaBytes = 0
        for (index, element) in node.elements.enumerated() {
            let tool = try ToolDefinition(reading: element, at: "\(pointer)/\(index)")
            guard !tools.contains(where: { $0.name == tool.name }) else {
                throw JSONViolation(pointer: "\(pointer)/\(index)/name", message: "is the name of an earlier tool")
            }
            schemaBytes += tool.arguments.compiledBytes
            guard schemaBytes <= Limits.maxConfigSchemaBytes else {
                throw JSONViolation(
                    pointer: "\(pointer)/\(index)/inputSchema",
                    message: "makes the schemas larger than \(Limits.maxConfigSchemaBytes) bytes, compiled; use fewer or simpler patterns")
            }
            tools.append(tool)
        }
        return tools
    }

    /// The same with tools that its MCP servers have. One that was published keeps its name.
    public func adding(_ discovered: [ToolDefinition]) -> AgentConfig {
        var config = self
        let names = Set(tools.map(\.name))
        config.tools += discovered.filter { !names.contains($0.name) }
        return config
    }

    /// `sha256:` and the hex digest over the RFC 8785 form of the config as sent.
    public static func hash(of node: JSONNode) throws(JSONError) -> String {
        "sha256:" + Hex.encode(SHA256.hash(try node.canonical()))
    }
}

extension AgentConfig.Model {
    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        provider = try reader.string("provider", maxBytes: 64)
        guard AgentConfig.knownProviders.contains(provider) else {
            throw JSONViolation(
                pointer: reader.pointer(to: "provider"),
                message: "must be one of \(AgentConfig.knownProviders.joined(separator: ", "))")
        }
        let isSimulated = provider == "simulated"
        name = try reader.optionalString("name", maxBytes: 256) ?? (isSimulated ? "simulated" : "")
        guard !name.isEmpty else { throw JSONViolation(pointer: reader.pointer(to: "name"), message: "must name the model") }
        baseURL = try reader.optionalString("baseURL", maxBytes: 2048)
        if !isSimulated {
            let place = reader.pointer(to: "baseURL")
            guard let baseURL else { throw JSONViolation(pointer: place, message: "must be the http(s) URL of the provider's API") }
            do throws(OutboundURLError) { _ = try OutboundURL(baseURL) } catch {
                throw JSONViolation(pointer: place, message: error.message)
            }
        }
        apiKey = try reader.optionalString("apiKey", maxBytes: 4096)
        guard apiKey.map({ !$0.utf8.contains { $0 < 0x20 || $0 == 0x7F } }) ?? true else {
            throw JSONViolation(pointer: reader.pointer(to: "apiKey"), message: "must not hold control characters")
        }
        do throws(TemplateError) {
            apiKeySecret = try apiKey.flatMap { text throws(TemplateError) in try SecretReference.whole(text) }
        } catch {
            throw JSONViolation(pointer: reader.pointer(to: "apiKey"), message: error.message)
        }
        let api = try reader.optionalString("api", maxBytes: 16) ?? "default"
        guard api == "default" || api == "chat" else {
            throw JSONViolation(pointer: reader.pointer(to: "api"), message: "must be default or chat")
        }
        temperature = try reader.optionalDouble("temperature", in: 0...2)
        maxOutputTokens = try reader.optionalInt("maxOutputTokens", in: 1...1_000_000)
        let options = try reader.optionalNode("providerOptions")
        guard options == nil || options?.kind == .object else {
            throw JSONViolation(pointer: reader.pointer(to: "providerOptions"), message: "must be an object")
        }
        providerOptions = options?.rawJSON
        script = try reader.optionalNode("script")?.rawJSON
        guard script == nil || isSimulated else {
            throw JSONViolation(pointer: reader.pointer(to: "script"), message: "belongs to the simulated provider only")
        }
        guard script != nil || !isSimulated else {
            throw JSONViolation(pointer: reader.pointer(to: "script"), message: "is required: the simulated provider plays it")
        }
        try reader.finish()
    }
}

/// Names of agents and tools.
public enum Names {
    /// 1 to 64 letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    public static func isValid(_ name: String) -> Bool {
        guard (1...Limits.maxNameBytes).contains(name.utf8.count), let first = name.utf8.first, isAlphanumeric(first) else { return false }
        return name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    public static let rule = "must be 1 to \(Limits.maxNameBytes) letters, digits, _, - or ., beginning with a letter or digit"

    public static func read(_ key: String, from reader: inout JSONObjectReader) throws(JSONViolation) -> String {
        let name = try reader.string(key, maxBytes: 1024)
        guard isValid(name) else { throw JSONViolation(pointer: reader.pointer(to: key), message: rule) }
        return name
    }
}
