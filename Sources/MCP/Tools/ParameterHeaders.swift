import JSON

/// Parameters that a tool's server wants repeated in headers, `x-mcp-header` (2026-07-28, Custom Headers from Tool Parameters).
struct ParameterHeaders: Sendable, Hashable {
    private struct Field: Sendable, Hashable {
        let name: String
        let path: [String]
    }

    private var fields: [Field] = []

    init() {}

    /// Throws for annotations that the specification forbids: the tool is not to be used then.
    init(of schema: JSONNode) throws(Unusable) {
        try read(schema, path: [])
        guard Set(fields.map { $0.name.lowercased() }).count == fields.count else { throw Unusable("two parameters have one x-mcp-header") }
    }

    /// Values that are absent or null have no header.
    func headers(for arguments: JSONNode, maxValueBytes: Int) throws(MCPError) -> [MCPHeader] {
        var headers: [MCPHeader] = []
        for field in fields {
            var value: JSONNode? = arguments
            for key in field.path { value = value?[key] }
            guard let value, let text = Self.text(value) else { continue }
            guard text.utf8.count <= maxValueBytes else {
                throw MCPError(
                    .invalidParameters,
                    "\(field.path.joined(separator: ".")) is sent as a header, and is longer than \(maxValueBytes) bytes.")
            }
            headers.append(MCPHeader(name: "mcp-param-\(field.name)", value: HeaderValue.encode(text)))
        }
        return headers
    }

    private static func text(_ value: JSONNode) -> String? {
        switch value.kind {
        case .string: return value.string
        case .bool: return value.bool.map { $0 ? "true" : "false" }
        case .number:
            // 42.0 is an integer to JSON Schema.
            if let int = value.int { return String(int) }
            return value.double.flatMap { Int(exactly: $0) }.map { String($0) }
        case .null, .array, .object: return nil
        }
    }

    private static let singles = [
        "items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "contains", "propertyNames", "not", "if", "then",
        "else",
        "additionalItems",
    ]
    private static let lists = ["oneOf", "anyOf", "allOf", "prefixItems", "items"]
    private static let maps = ["patternProperties", "$defs", "definitions", "dependentSchemas"]

    /// `path` is nil where a schema is reached by anything but `properties`: no annotation may be there.
    private mutating func read(_ schema: JSONNode, path: [String]?) throws(Unusable) {
        guard schema.kind == .object else { return }
        if let annotation = schema["x-mcp-header"] { try add(annotation, of: schema, path) }
        for (name, child) in schema["properties"]?.members.map({ $0 }) ?? [] { try read(child, path: path.map { $0 + [name] }) }
        for keyword in Self.singles { if let child = schema[keyword] { try read(child, path: nil) } }
        for keyword in Self.lists { for child in schema[keyword]?.elements.map({ $0 }) ?? [] { try read(child, path: nil) } }
        for keyword in Self.maps { for (_, child) in schema[keyword]?.members.map({ $0 }) ?? [] { try read(child, path: nil) } }
    }

    private mutating func add(_ annotation: JSONNode, of schema: JSONNode, _ path: [String]?) throws(Unusable) {
        guard let path, !path.isEmpty else { throw Unusable("an x-mcp-header is where no parameter is") }
        guard let name = annotation.string, HeaderValue.isToken(name), name.utf8.count <= 128 else {
            throw Unusable("an x-mcp-header is no name of a header")
        }
        guard ["string", "integer", "boolean"].contains(schema["type"]?.string) else {
            throw Unusable("an x-mcp-header belongs to strings, integers and booleans only")
        }
        guard fields.count < 32 else { throw Unusable("more than 32 parameters are wanted as headers") }
        fields.append(Field(name: name, path: path))
    }
}
