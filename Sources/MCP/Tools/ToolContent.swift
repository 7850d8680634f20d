public import JSON

/// What a call came to.
public enum MCPToolResult: Sendable, Hashable {
    case result(RawJSON)
    /// The tool ran and failed (`isError`); the text is its own.
    case failed(String)
}

/// Makes one JSON value of the parts of a result: see docs/MCP.md.
struct ToolContent {
    let limits: MCPLimits

    func result(of node: JSONNode) throws(MCPError) -> MCPToolResult {
        let structured = node["structuredContent"]
        let content = node["content"]
        guard content == nil || content?.kind == .array else { throw .malformed("its content is no array") }
        guard structured != nil || content != nil else { throw .malformed("it has no content") }
        let parts = content?.elements.map { $0 } ?? []
        guard parts.count <= 1024 else {
            throw MCPError(.tooLarge, "The MCP server's answer is too large: its content has more than 1024 parts.")
        }
        let texts = parts.compactMap { $0["type"]?.string == "text" ? $0["text"]?.string : nil }
        if node["isError"]?.bool == true {
            let text = texts.joined(separator: "\n")
            let said = text.isEmpty ? structured?.rawJSON.string ?? "The tool failed without saying why." : text
            return .failed(cut(said, limits.maxErrorTextBytes))
        }
        let isTextOnly = texts.count == parts.count
        if let structured, isTextOnly { return .result(structured.rawJSON.compacted()) }
        if isTextOnly, texts.count == 1, let text = texts.first { return .result(RPCCall.json(text)) }
        return .result(all(parts, structured).compacted())
    }

    private func all(_ parts: [JSONNode], _ structured: JSONNode?) -> RawJSON {
        RawJSON.object { writer in
            writer.key("content")
            writer.beginArray()
            for part in parts { write(part, to: &writer) }
            writer.endArray()
            writer.field("structuredContent", rawIfPresent: structured?.rawJSON)
        }
    }

    /// Bytes of images and sound are described, not carried: a model reads results as text.
    private func write(_ part: JSONNode, to writer: inout JSONWriter) {
        let type = part["type"]?.string ?? "unknown"
        writer.beginObject()
        writer.field("type", string: type.prefix(utf8Bytes: 64))
        switch type {
        case "text": writer.field("text", string: part["text"]?.string ?? "")
        case "image", "audio":
            writer.field("mimeType", stringIfPresent: part["mimeType"]?.string)
            writeOmitted(part["data"], to: &writer)
        case "resource_link":
            for key in ["uri", "name", "title", "description", "mimeType"] { writer.field(dynamic: key, part[key]?.string) }
        case "resource":
            let resource = part["resource"]
            for key in ["uri", "mimeType", "text"] { writer.field(dynamic: key, resource?[key]?.string) }
            if let blob = resource?["blob"] { writeOmitted(blob, to: &writer) }
        default: writer.field("omitted", bool: true)
        }
        writer.endObject()
    }

    private func writeOmitted(_ data: JSONNode?, to writer: inout JSONWriter) {
        let length = data?.string?.utf8.count ?? 0
        writer.field("bytes", int: length / 4 * 3)
        writer.field("omitted", bool: true)
    }

    private func cut(_ text: String, _ limit: Int) -> String {
        text.utf8.count <= limit ? text : text.prefix(utf8Bytes: limit - 8) + " […]"
    }
}

extension JSONWriter {
    fileprivate mutating func field(dynamic key: String, _ value: String?) {
        guard let value else { return }
        self.key(key)
        string(value)
    }
}
