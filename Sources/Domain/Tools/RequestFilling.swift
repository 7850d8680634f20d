import JSON

/// A request with everything put in.
public struct FilledRequest: Sendable {
    public let method: String
    public let url: OutboundURL
    public let headers: [(name: String, value: String)]
    public let body: [UInt8]?
}

extension RequestTool.Field {
    /// nil when its argument is absent.
    public func headerValue(_ values: TemplateValues) throws(TemplateError) -> String? {
        try value.filled(values) { text throws(TemplateError) in
            guard text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                throw TemplateError("The header \(name) can hold ASCII characters without line breaks only.")
            }
            return text
        }
    }
}

extension RequestTool {
    /// Puts arguments and secrets in, each encoded for its place: what an argument holds can change neither the host nor the path's
    /// shape, nor add a parameter, a header or a member. Headers, parameters and members whose argument is absent are left out.
    public func filled(_ values: TemplateValues) throws(TemplateError) -> FilledRequest {
        let url = try filledURL(values)
        var headers: [(name: String, value: String)] = []
        for field in self.headers {
            if let value = try field.headerValue(values) { headers.append((field.name, value)) }
        }
        let (body, type) = try filledBody(values)
        if let type, !headers.contains(where: { $0.name.lowercased() == "content-type" }) { headers.append(("content-type", type)) }
        if let body { try Self.check(body: body.count) }
        return FilledRequest(method: method, url: url, headers: headers, body: body)
    }

    /// At each piece: the template may name one large argument very often.
    private static func check(url text: String) throws(TemplateError) {
        guard text.utf8.count <= Limits.maxOutboundURLBytes else {
            throw TemplateError("The URL is longer than \(Limits.maxOutboundURLBytes) bytes with the arguments put in.")
        }
    }

    private static func check(body count: Int) throws(TemplateError) {
        guard count <= Limits.maxToolRequestBytes else {
            throw TemplateError("The body is larger than \(Limits.maxToolRequestBytes) bytes with the arguments put in.")
        }
    }

    private static func percent(_ text: String) -> String { PercentEncoding.encode(text) }

    private func filledURL(_ values: TemplateValues) throws(TemplateError) -> OutboundURL {
        var text = ""
        var isInQuery = false
        for part in url.parts {
            switch part {
            case .text(let literal):
                text += literal
                isInQuery = isInQuery || literal.contains("?")
            case .secret(let name): text += Self.percent(try values.secret(name))
            case .argument(let path):
                let value = values.argument(path) ?? ""
                guard isInQuery || !value.isEmpty else {
                    throw TemplateError("The argument \(path.joined(separator: ".")) is needed for the path of the URL.")
                }
                text += Self.percent(value)
            }
            try Self.check(url: text)
        }
        var separator = isInQuery ? "&" : "?"
        for field in query {
            guard let value = try field.value.filled(values, encode: { text throws(TemplateError) in Self.percent(text) }) else { continue }
            text += separator + Self.percent(field.name) + "=" + Self.literal(field.value, value)
            separator = "&"
            try Self.check(url: text)
        }
        try checkSegments(text)
        do throws(OutboundURLError) { return try OutboundURL(text) } catch { throw TemplateError("The URL \(error.message).") }
    }

    /// A template's own text is written as it is meant, so what of it would end the parameter is encoded; places are already.
    private static func literal(_ template: TextTemplate, _ filled: String) -> String {
        guard template.parts.contains(where: { if case .text = $0 { true } else { false } }) else { return filled }
        return filled.replacing("&", with: "%26").replacing("#", with: "%23").replacing(" ", with: "%20").replacing("+", with: "%2B")
    }

    /// Servers and proxies take `.` and `..` out of a path, encoded or not: an argument must not make one.
    private func checkSegments(_ filled: String) throws(TemplateError) {
        let hasDots = { (text: Substring) in
            text.split(separator: "/").contains { segment in
                let plain = segment.lowercased().replacing("%2e", with: ".")
                return plain == "." || plain == ".."
            }
        }
        guard hasDots(filled.prefix { $0 != "?" }) else { return }
        throw TemplateError("An argument makes a . or .. of a part of the URL's path.")
    }

    private func filledBody(_ values: TemplateValues) throws(TemplateError) -> ([UInt8]?, String?) {
        switch body {
        case nil: return (nil, nil)
        case .text(let template):
            let text = try template.filled(values) { text throws(TemplateError) in text }
            return (Array((text ?? "").utf8), "text/plain; charset=utf-8")
        case .form(let fields):
            var pairs: [String] = []
            var count = 0
            for field in fields {
                guard let value = try field.value.filled(values, encode: { text throws(TemplateError) in text }) else { continue }
                let pair = Self.percent(field.name) + "=" + Self.percent(value)
                count += pair.utf8.count + 1
                try Self.check(body: count)
                pairs.append(pair)
            }
            return (Array(pairs.joined(separator: "&").utf8), nil)
        case .json(let json):
            guard let root = try? json.document().root else { throw TemplateError("The body is no JSON.") }
            var writer = JSONWriter()
            if try !Self.write(root, values, to: &writer) { writer.null() }
            return (writer.bytes, "application/json")
        }
    }

    /// false: the value's argument is absent, and nothing was written.
    private static func write(_ node: JSONNode, _ values: TemplateValues, to writer: inout JSONWriter) throws(TemplateError) -> Bool {
        switch node.kind {
        case .string:
            let template = try TextTemplate(node.string ?? "")
            if let path = template.onlyArgument {
                guard let value = values.node(path) else { return false }
                writer.raw(bytes: value.raw)
                try check(body: writer.bytes.count)
                return true
            }
            guard let text = try template.filled(values, encode: { text throws(TemplateError) in text }) else { return false }
            writer.string(text)
        case .array:
            writer.beginArray()
            for element in node.elements where try !write(element, values, to: &writer) { writer.null() }
            writer.endArray()
        case .object:
            writer.beginObject()
            for (name, value) in node.members {
                if value.kind == .string, try isAbsent(value, values) { continue }
                writer.key(name)
                _ = try write(value, values, to: &writer)
            }
            writer.endObject()
        default: writer.raw(bytes: node.raw)
        }
        try check(body: writer.bytes.count)
        return true
    }

    private static func isAbsent(_ node: JSONNode, _ values: TemplateValues) throws(TemplateError) -> Bool {
        for part in try TextTemplate(node.string ?? "").parts {
            if case .argument(let path) = part, values.node(path) == nil { return true }
        }
        return false
    }
}
