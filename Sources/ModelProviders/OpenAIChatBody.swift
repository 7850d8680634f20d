import JSON

/// The body of `POST {base}/chat/completions`.
enum OpenAIChatBody {
    /// Members that `providerOptions` cannot set; they are passed over there.
    static let reserved: Set<String> = ["model", "messages", "stream", "tools"]

    /// `providerOptions`' members win over the ones that this client chooses itself, and `null` leaves such a one out: so a server that does
    /// not know `max_completion_tokens` is served by `{"max_completion_tokens": null, "max_tokens": 500}`.
    static func make(_ request: ModelRequest) throws(ModelError) -> [UInt8] {
        let options = try options(request.providerOptions)
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        writer.field("model", string: request.model)
        writer.field("stream", bool: true)
        writer.key("messages")
        writer.beginArray()
        let systemRole = request.provider == "openai" ? "developer" : "system"
        for message in request.messages { write(message, systemRole: systemRole, to: &writer) }
        writer.endArray()
        if !request.tools.isEmpty {
            writer.key("tools")
            writer.beginArray()
            for tool in request.tools { write(tool, to: &writer) }
            writer.endArray()
        }
        if options["stream_options"] == nil {
            writer.field("stream_options", raw: RawJSON(#"{"include_usage":true}"#))
        }
        if !request.tools.isEmpty, request.toolChoice != "auto", options["tool_choice"] == nil {
            writer.field("tool_choice", string: request.toolChoice)
        }
        if let temperature = request.temperature, options["temperature"] == nil { writer.field("temperature", double: temperature) }
        if let tokens = request.maxOutputTokens, options["max_completion_tokens"] == nil {
            writer.field("max_completion_tokens", int: tokens)
        }
        for (key, value) in options.sorted(by: { $0.key < $1.key }) where !value.isNull {
            writer.field(key, raw: value.rawJSON)
        }
        writer.endObject()
        return writer.bytes
    }

    private static func options(_ json: RawJSON?) throws(ModelError) -> [String: JSONNode] {
        guard let json else { return [:] }
        guard let root = try? json.document().root, root.kind == .object else {
            throw ModelError(code: .badRequest, publicMessage: "model.providerOptions must be a JSON object.")
        }
        var options: [String: JSONNode] = [:]
        for (key, value) in root.members where !reserved.contains(key) { options[key] = value }
        return options
    }

    private static func write(_ message: ModelMessage, systemRole: String, to writer: inout JSONWriter) {
        writer.beginObject()
        switch message {
        case .system(let text):
            writer.field("role", string: systemRole)
            writer.field("content", string: text)
        case .user(let text):
            writer.field("role", string: "user")
            writer.field("content", string: text)
        case .assistant(let text, let calls):
            writer.field("role", string: "assistant")
            writer.key("content")
            if text.isEmpty, !calls.isEmpty { writer.null() } else { writer.string(text) }
            if !calls.isEmpty { write(calls, to: &writer) }
        case .toolResult(let providerCallID, _, let content, _):
            // The format has no flag for errors: the content says it.
            writer.field("role", string: "tool")
            writer.field("tool_call_id", string: providerCallID)
            writer.field("content", string: content)
        }
        writer.endObject()
    }

    private static func write(_ calls: [ModelToolCall], to writer: inout JSONWriter) {
        writer.key("tool_calls")
        writer.beginArray()
        for call in calls {
            writer.beginObject()
            writer.field("id", string: call.providerCallID)
            writer.field("type", string: "function")
            writer.key("function")
            writer.beginObject()
            writer.field("name", string: call.name)
            writer.field("arguments", string: call.arguments)
            writer.endObject()
            writer.endObject()
        }
        writer.endArray()
    }

    private static func write(_ tool: ModelTool, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("type", string: "function")
        writer.key("function")
        writer.beginObject()
        writer.field("name", string: tool.name)
        writer.field("description", stringIfPresent: tool.description)
        // Vendors refuse a schema without a type, which in a config means "no parameters".
        let root = try? tool.inputSchema.document().root
        let isBare = root?.kind == .object && root?.count == 0
        writer.field("parameters", raw: isBare ? RawJSON(#"{"type":"object","properties":{}}"#) : tool.inputSchema)
        writer.endObject()
        writer.endObject()
    }
}
