public import JSON
public import JSONSchema

/// Where a tool runs.
public enum ToolTarget: String, Sendable, CaseIterable, Hashable {
    case server, device, browser, external
}

/// Which device a tool may be asked of: by id, by key, or by labels that all match.
public struct DeviceSelector: Sendable, Hashable {
    public var deviceID: DeviceID?
    public var deviceKey: String?
    public var labels: [String: String]

    public init(deviceID: DeviceID? = nil, deviceKey: String? = nil, labels: [String: String] = [:]) {
        self.deviceID = deviceID
        self.deviceKey = deviceKey
        self.labels = labels
    }

    public var json: RawJSON {
        RawJSON.object { writer in
            writer.field("id", stringIfPresent: deviceID?.description)
            writer.field("key", stringIfPresent: deviceKey)
            writer.key("labels")
            writer.beginObject()
            for (name, value) in labels.sorted(by: { $0.key < $1.key }) {
                writer.key(name)
                writer.string(value)
            }
            writer.endObject()
        }
    }

    public init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        deviceKey = try reader.optionalString("key", maxBytes: 128)
        deviceID = nil
        if let text = try reader.optionalString("id", maxBytes: 36) {
            guard let id = DeviceID(text) else {
                throw JSONViolation(pointer: reader.pointer(to: "id"), message: "must be a device's UUID")
            }
            deviceID = id
        }
        labels =
            try reader.optionalNode("labels").map { node throws(JSONViolation) in
                try Labels.read(node, at: reader.pointer(to: "labels"))
            } ?? [:]
        try reader.finish()
        guard deviceID != nil || deviceKey != nil || !labels.isEmpty else {
            throw JSONViolation(pointer: pointer, message: "must name a device by id, key or labels")
        }
    }
}

/// Labels of devices: short names and values.
public enum Labels {
    public static func read(_ node: JSONNode, at pointer: String) throws(JSONViolation) -> [String: String] {
        guard node.kind == .object else { throw JSONViolation(pointer: pointer, message: "must be an object of strings") }
        let reader = try JSONObjectReader(node, at: pointer)
        guard node.count <= Limits.maxDeviceLabels else {
            throw JSONViolation(pointer: pointer, message: "must have at most \(Limits.maxDeviceLabels) labels")
        }
        var labels: [String: String] = [:]
        for (name, value) in node.members {
            guard let text = value.string, text.utf8.count <= 128, !name.isEmpty, name.utf8.count <= 64, !(name + text).utf8.contains(0)
            else {
                throw JSONViolation(
                    pointer: reader.pointer(to: String(name.unicodeScalars.prefix(64))),
                    message: "must be a string of at most 128 bytes under a name of 1 to 64 bytes")
            }
            labels[name] = text
        }
        return labels
    }

    public static func json(_ labels: [String: String]) -> RawJSON {
        RawJSON.object { writer in
            for (name, value) in labels.sorted(by: { $0.key < $1.key }) {
                writer.key(name)
                writer.string(value)
            }
        }
    }
}

/// A tool as a version of an agent declares it.
public struct ToolDefinition: Sendable, Hashable {
    public let name: String
    public let description: String?
    public let arguments: ArgumentsSchema
    public let target: ToolTarget
    /// Present for target `server`.
    public let serverKind: ServerToolKind?
    /// Present for target `device`.
    public let device: DeviceSelector?
    /// Present for target `external` where the gateway calls the tool; without it the tool's system asks and answers over the API.
    public let external: ExternalEndpoint?
    /// From the request of a call to its expiry.
    public let timeoutSeconds: Int

    /// A tool that an MCP server told of.
    public init(
        of server: MCPServerConfig, tool: String, description: String?, arguments: ArgumentsSchema
    ) {
        name = server.toolName(tool)
        self.description = description
        self.arguments = arguments
        target = .server
        serverKind = .mcp(server: server.name, tool: tool)
        device = nil
        external = nil
        timeoutSeconds = server.timeoutSeconds
    }

    /// The tenant's secrets that it names.
    public var secretNames: Set<String> { (serverKind?.secretNames ?? []).union(external?.secretNames ?? []) }

    /// JSON Schema 2020-12 of the arguments, as published.
    public var inputSchema: RawJSON { arguments.json }
}

/// What a tool's arguments must be. Compiled once, when a config is read; two are equal when their texts are.
public struct ArgumentsSchema: Sendable, Hashable {
    public let json: RawJSON
    private let compiled: JSONSchema

    /// Throws what is wrong with the schema itself.
    public init(_ json: RawJSON) throws(JSONSchemaError) {
        self.json = json
        compiled = try JSONSchema(json)
    }

    public static func == (left: ArgumentsSchema, right: ArgumentsSchema) -> Bool { left.json == right.json }
    public func hash(into hasher: inout Hasher) { hasher.combine(json) }

    /// About what it takes in memory.
    public var compiledBytes: Int { compiled.compiledBytes }

    /// What is wrong with a call's arguments, bounded in itself and in the work that it takes; empty: nothing.
    public func violations(of arguments: JSONNode) -> [JSONViolation] { compiled.violations(of: arguments) }
}
