public import JSON

public enum MessageRole: String, Sendable, Hashable {
    case system, user, assistant
}

/// A message as a caller gives it: text, from one of three roles.
public struct InitialMessage: Sendable, Hashable {
    public let role: MessageRole
    public let text: String

    public init(role: MessageRole, text: String) {
        self.role = role
        self.text = text
    }

    /// `{role, content}`, where content is a string or `[{type:"text", text}]`.
    public init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        let roleText = try reader.string("role", maxBytes: 32)
        guard let role = MessageRole(rawValue: roleText) else {
            throw JSONViolation(pointer: reader.pointer(to: "role"), message: "must be system, user or assistant")
        }
        let content = try reader.node("content")
        let contentPointer = reader.pointer(to: "content")
        try reader.finish()
        self.role = role
        if let text = content.string {
            self.text = text
        } else if content.kind == .array {
            var parts = ""
            for (index, part) in content.elements.enumerated() {
                var partReader = try JSONObjectReader(part, at: "\(contentPointer)/\(index)")
                guard try partReader.string("type", maxBytes: 32) == "text" else {
                    throw JSONViolation(pointer: partReader.pointer(to: "type"), message: "must be \"text\"")
                }
                // As it came, `\u0000` included, like the text of a content that is a string.
                guard let text = try partReader.node("text").string else {
                    throw JSONViolation(pointer: partReader.pointer(to: "text"), message: "must be a string")
                }
                parts += text
                try partReader.finish()
            }
            self.text = parts
        } else {
            throw JSONViolation(pointer: contentPointer, message: "must be a string or an array of text parts")
        }
    }
}

/// A call of a tool as the model asked for it.
public struct RequestedCall: Sendable, Hashable {
    public let callID: CallID
    /// The vendor's id of the call.
    public let providerCallID: String
    public let name: String
    /// As the model wrote them; may be no JSON.
    public let arguments: String

    public init(callID: CallID, providerCallID: String, name: String, arguments: String) {
        self.callID = callID
        self.providerCallID = providerCallID
        self.name = name
        self.arguments = arguments
    }
}

/// One turn of a conversation, as the model sees it.
public enum ConversationTurn: Sendable, Hashable {
    case message(InitialMessage)
    case assistant(text: String, calls: [RequestedCall])
    case toolResult(providerCallID: String, name: String, content: String, isError: Bool)
}

public struct TokenUsage: Sendable, Hashable {
    public var inputTokens: Int
    public var outputTokens: Int

    public init(inputTokens: Int = 0, outputTokens: Int = 0) {
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
    }

    public static func + (left: TokenUsage, right: TokenUsage) -> TokenUsage {
        TokenUsage(inputTokens: sum(left.inputTokens, right.inputTokens), outputTokens: sum(left.outputTokens, right.outputTokens))
    }

    /// What a vendor counts is the vendor's word: no number of it may end a process.
    private static func sum(_ left: Int, _ right: Int) -> Int { max(0, left.addingReportingOverflow(right).overflow ? .max : left + right) }

    public var total: Int { Self.sum(inputTokens, outputTokens) }

    public func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("inputTokens", int: inputTokens)
        writer.field("outputTokens", int: outputTokens)
        writer.endObject()
    }
}

extension ConversationTurn {
    /// The form in which a later run of the conversation carries this turn in its own `run.created`.
    public func write(to writer: inout JSONWriter) {
        writer.beginObject()
        switch self {
        case .message(let message):
            writer.field("role", string: message.role.rawValue)
            writer.field("content", string: message.text)
        case .assistant(let text, let calls):
            writer.field("role", string: "assistant")
            writer.field("content", string: text)
            if !calls.isEmpty {
                writer.key("toolCalls")
                writer.beginArray()
                for call in calls { RunEventData.write(call, to: &writer) }
                writer.endArray()
            }
        case .toolResult(let providerCallID, let name, let content, let isError):
            writer.field("role", string: "tool")
            writer.field("providerCallId", string: providerCallID)
            writer.field("name", string: name)
            writer.field("content", string: content)
            writer.field("isError", bool: isError)
        }
        writer.endObject()
    }

    init?(reading node: JSONNode) {
        guard let content = node["content"]?.string, let role = node["role"]?.string else { return nil }
        if role == "tool" {
            guard let id = node["providerCallId"]?.string, let name = node["name"]?.string else { return nil }
            self = .toolResult(providerCallID: id, name: name, content: content, isError: node["isError"]?.bool ?? false)
        } else if let calls = node["toolCalls"] {
            self = .assistant(text: content, calls: calls.elements.compactMap { RunEventData.readCall($0) })
        } else if let role = MessageRole(rawValue: role) {
            self = .message(InitialMessage(role: role, text: content))
        } else {
            return nil
        }
    }
}
