import JSON

/// An MCP server that an agent uses, as a version declares it. Its tools are not known before the server is asked.
public struct MCPServerConfig: Sendable, Hashable {
    public struct Header: Sendable, Hashable {
        public let name: String
        /// As published; `${secret.NAME}` stands for a tenant's secret.
        public let value: TextTemplate
    }

    /// Which transport; `auto` finds it out.
    public enum Transport: String, Sendable, CaseIterable { case auto, http, sse }

    public let name: String
    public let url: String
    public let transport: Transport
    public let headers: [Header]
    /// The server's own names of the tools that the agent may have; nil: all.
    public let allowedTools: Set<String>?
    /// For each call.
    public let timeoutSeconds: Int

    /// What policies, the model and the events call a tool of the server.
    public func toolName(_ name: String) -> String { "\(self.name).\(name)" }

    /// The tools that the config itself names; their parameters only the server knows.
    public var namedTools: [ToolDefinition] {
        guard let allowedTools, let anything = try? ArgumentsSchema(.emptyObject) else { return [] }
        return allowedTools.sorted().map { ToolDefinition(of: self, tool: $0, description: nil, arguments: anything) }
    }

    /// The tenant's secrets that its headers name.
    public var secretNames: Set<String> { headers.reduce(into: []) { $0.formUnion($1.value.secretNames) } }

    /// The headers with the secrets put in; throws where one is missing.
    public func filledHeaders(_ secrets: [Secret]) throws(TemplateError) -> [(name: String, value: String)] {
        guard let nothing = try? RawJSON.emptyObject.document().root else { return [] }
        let values = TemplateValues(arguments: nothing, secrets: secrets)
        var filled: [(name: String, value: String)] = []
        for header in headers {
            let value = try header.value.filled(values) { text throws(TemplateError) in
                guard text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                    throw TemplateError("would hold a secret that is not visible ASCII")
                }
                return text
            }
            filled.append((header.name, value ?? ""))
        }
        return filled
    }

    public func allows(_ tool: String) -> Bool { allowedTools?.contains(tool) ?? true }
}

extension MCPServerConfig {
    /// `mcp.servers` of a config.
    static func readAll(_ reader: inout JSONObjectReader, tools: [ToolDefinition]) throws(JSONViolation) -> [MCPServerConfig] {
        guard var mcp = try reader.optionalObject("mcp") else { return [] }
        let pointer = mcp.pointer(to: "servers")
        let node = try mcp.optionalNode("servers")
        try mcp.finish()
        guard let node else { return [] }
        guard node.kind == .array, node.count <= Limits.maxMCPServers else {
            throw JSONViolation(pointer: pointer, message: "must be an array of at most \(Limits.maxMCPServers) servers")
        }
        var servers: [MCPServerConfig] = []
        for (index, element) in node.elements.enumerated() {
            let server = try MCPServerConfig(reading: element, at: "\(pointer)/\(index)")
            guard !servers.contains(where: { $0.name == server.name }) else {
                throw JSONViolation(pointer: "\(pointer)/\(index)/name", message: "is the name of an earlier server")
            }
            // So that a tool that a server comes to have never takes the name of one that was published.
            if let tool = tools.first(where: { $0.name.hasPrefix(server.name + ".") }) {
                throw JSONViolation(
                    pointer: "\(pointer)/\(index)/name",
                    message: "begins the name of the tool \(tool.name); names of its tools begin with it")
            }
            servers.append(server)
        }
        return servers
    }

    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        name = try Names.read("name", from: &reader)
        // A dot would leave open where the server's name ends and its tool's begins.
        guard !name.contains("."), name.utf8.count <= Limits.maxMCPServerNameBytes else {
            throw JSONViolation(
                pointer: reader.pointer(to: "name"), message: "must be at most \(Limits.maxMCPServerNameBytes) bytes, without a dot")
        }
        url = try Self.readURL(&reader)
        let transport = try reader.optionalString("transport", maxBytes: 16) ?? Transport.auto.rawValue
        guard let known = Transport(rawValue: transport) else {
            throw JSONViolation(pointer: reader.pointer(to: "transport"), message: "must be auto, http or sse")
        }
        self.transport = known
        headers = try Self.readHeaders(&reader)
        allowedTools = try reader.optionalStrings(
            "allowedTools", maxCount: Limits.maxMCPToolsOfServer, maxBytes: Limits.maxMCPToolNameBytes
        ).map { Set($0) }
        timeoutSeconds =
            try reader.optionalInt("timeoutSeconds", in: 1...Limits.maxMCPCallSeconds) ?? Limits.defaultMCPCallSeconds
        try reader.finish()
    }

    private static func readURL(_ reader: inout JSONObjectReader) throws(JSONViolation) -> String {
        let url = try reader.string("url", maxBytes: 2048)
        let place = reader.pointer(to: "url")
        let scheme = url.prefix { $0 != ":" }.lowercased()
        let rest = url.dropFirst(scheme.utf8.count)
        guard scheme == "https" || scheme == "http", rest.hasPrefix("://"), url.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw JSONViolation(pointer: place, message: "must be the http(s) URL of the server's MCP endpoint")
        }
        let authority = rest.dropFirst(3).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.isEmpty, !authority.contains("@"), !authority.contains("\\"), !url.contains("#") else {
            throw JSONViolation(
                pointer: place, message: "must have a host, and neither user, password nor fragment; use headers for credentials")
        }
        return url
    }

    private static let reservedHeaders: Set<String> = [
        "accept", "connection", "content-length", "content-type", "host", "keep-alive", "last-event-id", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    private static func readHeaders(_ reader: inout JSONObjectReader) throws(JSONViolation) -> [Header] {
        let pointer = reader.pointer(to: "headers")
        guard let node = try reader.optionalNode("headers") else { return [] }
        guard node.kind == .object, node.count <= Limits.maxMCPHeaders else {
            throw JSONViolation(pointer: pointer, message: "must be an object of at most \(Limits.maxMCPHeaders) strings")
        }
        let places = try JSONObjectReader(node, at: pointer)
        var headers: [Header] = []
        for (name, value) in node.members {
            let place = places.pointer(to: String(name.unicodeScalars.prefix(64)))
            let lower = name.lowercased()
            guard !name.isEmpty, name.utf8.count <= 128, name.utf8.allSatisfy({ Names.isAlphanumeric($0) || tokenMarks.contains($0) })
            else {
                throw JSONViolation(pointer: place, message: "is no name of an HTTP header")
            }
            guard !reservedHeaders.contains(lower), !lower.hasPrefix("mcp-") else {
                throw JSONViolation(pointer: place, message: "is a header that the gateway sets itself")
            }
            guard !headers.contains(where: { $0.name.lowercased() == lower }) else {
                throw JSONViolation(pointer: place, message: "is there twice")
            }
            guard let text = value.string, text.utf8.count <= Limits.maxMCPHeaderBytes,
                text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
            else {
                throw JSONViolation(pointer: place, message: "must be visible ASCII of at most \(Limits.maxMCPHeaderBytes) bytes")
            }
            do throws(TemplateError) {
                let template = try TextTemplate(text)
                guard !template.parts.contains(where: { if case .argument = $0 { true } else { false } }) else {
                    throw TemplateError("names an argument, and headers of a server are the same for every call")
                }
                headers.append(Header(name: name, value: template))
            } catch { throw JSONViolation(pointer: place, message: error.message) }
        }
        return headers
    }

    /// `tchar` of RFC 9110 §5.6.2 beside letters and digits.
    private static let tokenMarks = Set("!#$%&'*+-.^_`|~".utf8)
}
