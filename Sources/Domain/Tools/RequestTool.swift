public import JSON

/// `executionType: request`: one HTTP request with the call's arguments in it.
public struct RequestTool: Sendable, Hashable {
    public struct Field: Sendable, Hashable {
        public let name: String
        public let value: TextTemplate
    }

    public enum Body: Sendable, Hashable {
        /// A JSON value whose strings are templates; a string that is nothing but `{{name}}` becomes the argument itself.
        case json(RawJSON)
        /// Plain text.
        case text(TextTemplate)
        /// `application/x-www-form-urlencoded`.
        case form([Field])
    }

    public let method: String
    /// Arguments and secrets stand in its path or query only.
    public let url: TextTemplate
    public let headers: [Field]
    public let query: [Field]
    public let body: Body?
    /// nil: the call's own.
    public let timeoutMilliseconds: Int?
    public let secretNames: Set<String>

    public static let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        method = (try reader.optionalString("method", maxBytes: 16) ?? "GET").uppercased()
        guard Self.methods.contains(method) else {
            throw JSONViolation(pointer: reader.pointer(to: "method"), message: "must be one of \(Self.methods.joined(separator: ", "))")
        }
        url = try Self.readURL(&reader)
        headers = try Self.readHeaders(&reader)
        query = try Self.readFields("query", &reader)
        body = try Self.readBody(&reader, headers)
        guard body == nil || !["GET", "HEAD"].contains(method) else {
            throw JSONViolation(pointer: reader.pointer(to: "body"), message: "must be absent for \(method)")
        }
        timeoutMilliseconds = try reader.optionalInt("timeout", in: 1...Limits.maxRequestToolSeconds * 1000)
        try reader.finish()
        secretNames = Self.names(url, headers + query, body)
    }

    /// What the host is, whatever the arguments are.
    public var origin: OutboundURL? { try? Self.sample(url) }

    private static func readURL(_ reader: inout JSONObjectReader) throws(JSONViolation) -> TextTemplate {
        let pointer = reader.pointer(to: "url")
        let template = try Self.template(try reader.string("url", maxBytes: Limits.maxOutboundURLBytes), at: pointer)
        do throws(OutboundURLError) { _ = try Self.sample(template) } catch {
            throw JSONViolation(pointer: pointer, message: error.message)
        }
        return template
    }

    /// The URL with `x` in every place, which must all be behind the host.
    private static func sample(_ template: TextTemplate) throws(OutboundURLError) -> OutboundURL {
        guard case .text(let first)? = template.parts.first, let scheme = first.firstRange(of: "://") else {
            throw OutboundURLError("must begin with https:// or http://")
        }
        let rest = first[scheme.upperBound...]
        guard template.parts.count == 1 || rest.contains(where: { $0 == "/" || $0 == "?" }) else {
            throw OutboundURLError("must name its host without {{…}} and ${…}; they may stand in the path and the query")
        }
        var text = ""
        for part in template.parts { if case .text(let literal) = part { text += literal } else { text += "x" } }
        guard !text.contains("#") else { throw OutboundURLError("must have no fragment") }
        return try OutboundURL(text)
    }

    /// Fields that the gateway's own HTTP sets, or that would change whose request it is.
    private static let reservedHeaders: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "keep-alive",
        "proxy-authorization", "proxy-connection", "accept-encoding",
    ]

    static func readHeaders(_ reader: inout JSONObjectReader) throws(JSONViolation) -> [Field] {
        let fields = try readFields("headers", &reader)
        for field in fields {
            let pointer = reader.pointer(to: "headers") + "/" + field.name
            guard field.name.utf8.allSatisfy({ Names.isAlphanumeric($0) || "!#$%&'*+-.^_`|~".utf8.contains($0) }) else {
                throw JSONViolation(pointer: pointer, message: "is no name of an HTTP header")
            }
            guard !reservedHeaders.contains(field.name.lowercased()) else {
                throw JSONViolation(pointer: pointer, message: "is set by the gateway")
            }
        }
        return fields
    }

    static func readFields(_ key: String, _ reader: inout JSONObjectReader) throws(JSONViolation) -> [Field] {
        guard let node = try reader.optionalNode(key) else { return [] }
        let pointer = reader.pointer(to: key)
        guard node.kind == .object, node.count <= Limits.maxRequestFields else {
            throw JSONViolation(pointer: pointer, message: "must be an object of at most \(Limits.maxRequestFields) strings")
        }
        var fields: [Field] = []
        for (name, value) in node.members {
            guard (1...128).contains(name.utf8.count), let text = value.string ?? scalar(value), text.utf8.count <= 8192 else {
                throw JSONViolation(pointer: "\(pointer)/\(name.prefix(64))", message: "must be a string of at most 8192 bytes")
            }
            fields.append(Field(name: name, value: try template(text, at: "\(pointer)/\(name)")))
        }
        return fields
    }

    private static func scalar(_ node: JSONNode) -> String? {
        node.kind == .number || node.bool != nil ? String(decoding: node.raw, as: UTF8.self) : nil
    }

    private static func readBody(_ reader: inout JSONObjectReader, _ headers: [Field]) throws(JSONViolation) -> Body? {
        let pointer = reader.pointer(to: "body")
        guard let node = try reader.optionalNode("body") else { return nil }
        guard case .text(let type)? = headers.first(where: { $0.name.lowercased() == "content-type" })?.value.parts.first,
            type.lowercased().hasPrefix("application/x-www-form-urlencoded"), node.kind == .object
        else {
            guard let text = node.string else {
                try check(node, at: pointer)
                return .json(node.rawJSON)
            }
            let template = try Self.template(text, at: pointer)
            // A text with JSON's type could break out of its quotes.
            if headers.contains(where: { $0.name.lowercased() == "content-type" && $0.value.parts.contains { Self.isJSON($0) } }) {
                throw JSONViolation(pointer: pointer, message: "must be a JSON value, not a text that holds one, for this Content-Type")
            }
            return .text(template)
        }
        return .form(try readFields("body", &reader))
    }

    private static func isJSON(_ part: TextTemplate.Part) -> Bool {
        if case .text(let text) = part { text.lowercased().contains("json") } else { false }
    }

    private static func check(_ node: JSONNode, at pointer: String) throws(JSONViolation) {
        switch node.kind {
        case .string: _ = try template(node.string ?? "", at: pointer)
        case .array: for (index, element) in node.elements.enumerated() { try check(element, at: "\(pointer)/\(index)") }
        case .object: for (name, value) in node.members { try check(value, at: "\(pointer)/\(name.prefix(64))") }
        default: break
        }
    }

    static func template(_ text: String, at pointer: String) throws(JSONViolation) -> TextTemplate {
        do throws(TemplateError) { return try TextTemplate(text) } catch {
            throw JSONViolation(pointer: pointer, message: error.message)
        }
    }

    private static func names(_ url: TextTemplate, _ fields: [Field], _ body: Body?) -> Set<String> {
        var names = url.secretNames
        for field in fields { names.formUnion(field.value.secretNames) }
        switch body {
        case .json(let json): names.formUnion((try? json.document()).map { Self.names($0.root) } ?? [])
        case .text(let template): names.formUnion(template.secretNames)
        case .form(let fields): for field in fields { names.formUnion(field.value.secretNames) }
        case nil: break
        }
        return names
    }

    private static func names(_ node: JSONNode) -> Set<String> {
        switch node.kind {
        case .string: (try? TextTemplate(node.string ?? ""))?.secretNames ?? []
        case .array: node.elements.reduce(into: []) { $0.formUnion(names($1)) }
        case .object: node.members.reduce(into: []) { $0.formUnion(names($1.value)) }
        default: []
        }
    }
}
