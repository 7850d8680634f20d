import JSON

/// The shapes of event data, written and read in one place.
public enum RunEventData {
    static func write(_ call: RequestedCall, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("callId", string: call.callID.description)
        writer.field("providerCallId", string: call.providerCallID)
        writer.field("name", string: call.name)
        writer.field("arguments", string: call.arguments)
        writer.endObject()
    }

    static func readCall(_ node: JSONNode) -> RequestedCall? {
        guard let id = node["callId"]?.string.flatMap({ CallID($0) }), let provider = node["providerCallId"]?.string,
            let name = node["name"]?.string, let arguments = node["arguments"]?.string
        else { return nil }
        return RequestedCall(callID: id, providerCallID: provider, name: name, arguments: arguments)
    }

    /// `assistant.message`: the whole text, the calls and the usage, so that a reader may skip deltas.
    public static func assistantMessage(
        step: Int, text: String, reasoning: String, calls: [RequestedCall], usage: TokenUsage, finishReason: String
    ) -> NewRunEvent {
        NewRunEvent(.assistantMessage) { writer in
            writer.field("step", int: step)
            writer.field("text", string: text)
            if !reasoning.isEmpty { writer.field("reasoning", string: reasoning) }
            writer.key("toolCalls")
            writer.beginArray()
            for call in calls { write(call, to: &writer) }
            writer.endArray()
            writer.key("usage")
            usage.write(to: &writer)
            writer.field("finishReason", string: finishReason)
        }
    }

    public static func delta(_ type: RunEventType, text: String, stampNanoseconds: Int64?) -> NewRunEvent {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 40)
        bytes.append(contentsOf: "{\"text\":".utf8)
        JSONWriter.appendEscaped(text, into: &bytes)
        if let stampNanoseconds {
            bytes.append(contentsOf: ",\"tns\":".utf8)
            bytes.append(contentsOf: String(stampNanoseconds).utf8)
        }
        bytes.append(UInt8(ascii: "}"))
        return NewRunEvent(type, RawJSON(trusted: bytes))
    }

    public static func outcome(_ outcome: ToolOutcome, of callID: CallID) -> NewRunEvent {
        switch outcome {
        case .result(let result, let source):
            NewRunEvent(.toolResultReceived) { writer in
                writer.field("callId", string: callID.description)
                writer.field("source", string: source.rawValue)
                writer.field("result", raw: result)
            }
        case .failed(let error, let source):
            NewRunEvent(.toolResultReceived) { writer in
                writer.field("callId", string: callID.description)
                writer.field("source", string: source.rawValue)
                writer.field("error", raw: error.json)
            }
        case .expired:
            NewRunEvent(.toolCallExpired) { $0.field("callId", string: callID.description) }
        case .denied(let reason, let message):
            NewRunEvent(.toolCallDenied) { writer in
                writer.field("callId", string: callID.description)
                writer.field("reason", string: reason)
                writer.field("message", string: message)
            }
        case .canceled(let reason):
            NewRunEvent(.toolCallCanceled) { writer in
                writer.field("callId", string: callID.description)
                writer.field("reason", string: reason)
            }
        }
    }

    public static func failure(code: String, message: String, usage: TokenUsage) -> NewRunEvent {
        NewRunEvent(.runFailed) { writer in
            writer.field("error", raw: ToolError(code: code, message: message).json)
            writer.key("usage")
            usage.write(to: &writer)
        }
    }

    /// Reads the outcome that an event of the log carries; nil when the event carries none.
    static func readOutcome(_ event: RunEvent, _ data: JSONNode) -> (CallID, ToolOutcome)? {
        guard let callID = data["callId"]?.string.flatMap({ CallID($0) }) else { return nil }
        switch event.type {
        case .toolResultReceived:
            let source = data["source"]?.string.flatMap(ResultSource.init(rawValue:)) ?? .gateway
            if let error = data["error"] {
                let code = error["code"]?.string ?? "tool_failed"
                return (callID, .failed(ToolError(code: code, message: error["message"]?.string ?? ""), source: source))
            }
            return (callID, .result(data["result"]?.rawJSON ?? .null, source: source))
        case .toolCallExpired: return (callID, .expired)
        case .toolCallDenied:
            return (callID, .denied(reason: data["reason"]?.string ?? "denied", message: data["message"]?.string ?? "Denied."))
        case .toolCallCanceled: return (callID, .canceled(reason: data["reason"]?.string ?? "canceled"))
        default: return nil
        }
    }
}
