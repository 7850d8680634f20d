import JSON

/// Gathers the chunks of one chat completion: pure, no I/O.
///
/// Beside OpenAI's own form it takes what compatible servers send: calls without `index`, several whole calls under one index, arguments as
/// an object, `reasoning_content` or `reasoning`, content as parts, usage on any chunk, a whole `message` in place of `delta`, no `[DONE]`.
struct OpenAIChatStream {
    private struct Call {
        var index: Int?
        var id: String
        var name = ""
        var arguments: [UInt8] = []
    }

    private let step: Int
    private let secret: String?
    private let maxBytes: Int
    private let maxCalls: Int
    private var text = ""
    private var reasoning = ""
    private var calls: [Call] = []
    private var argumentBytes = 0
    private var usage = ModelUsage()
    private var finishReason: ModelFinishReason?
    /// The answer is complete; usage may still follow.
    var isFinished: Bool { finishReason != nil }
    /// `[DONE]` was seen: nothing more comes.
    private(set) var isDone = false

    init(step: Int, secret: String?, maxBytes: Int, maxCalls: Int) {
        self.step = step
        self.secret = secret
        self.maxBytes = maxBytes
        self.maxCalls = maxCalls
    }

    /// The deltas in one event's data.
    mutating func consume(_ data: [UInt8]) throws(ModelError) -> [ModelEvent] {
        guard !isDone, !data.allSatisfy({ $0 == 0x20 }) else { return [] }
        if data.starts(with: "[DONE]".utf8) {
            isDone = true
            return []
        }
        let root: JSONNode
        do {
            root = try JSONDocument(parsing: data, limits: .vendor).root
        } catch {
            throw Self.malformed("a chunk is not valid JSON", detail: "\(error)")
        }
        guard root.kind == .object else { throw Self.malformed("a chunk is not a JSON object") }
        if let error = root["error"], !error.isNull, let failure = VendorFailure(root, status: nil, secret: secret) {
            throw failure.error()
        }
        if let usage = root["usage"], usage.kind == .object { read(usage: usage) }
        // More than one choice comes only if it was asked for; the run has use for one.
        guard let choice = root["choices"]?.elements.first(where: { ($0["index"]?.int ?? 0) == 0 }) else { return [] }
        if let usage = choice["usage"], usage.kind == .object { read(usage: usage) }
        let deltas = try (choice["delta"] ?? choice["message"]).map { delta throws(ModelError) in try read(delta: delta) } ?? []
        if let reason = choice["finish_reason"]?.string, !reason.isEmpty { finishReason = Self.finishReason(reason) }
        return deltas
    }

    /// The answer, once the stream ended.
    func response() throws(ModelError) -> ModelResponse {
        guard finishReason != nil || (isDone && !(text.isEmpty && calls.isEmpty)) else {
            throw ModelError(
                code: .interrupted, publicMessage: "The model provider broke the answer off.",
                internalDetail: "the stream ended without finish_reason", isRetryable: true)
        }
        var finished: [ModelToolCall] = []
        for (position, call) in calls.enumerated() {
            guard !call.name.isEmpty else { throw Self.malformed("a tool call has no name") }
            let isBlank = call.arguments.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) }
            finished.append(
                ModelToolCall(
                    providerCallID: call.id.isEmpty ? "call_\(step)_\(position + 1)" : call.id, name: call.name,
                    arguments: isBlank ? "{}" : String(decoding: call.arguments, as: UTF8.self)))
        }
        var reason = finishReason ?? .stop
        // Some servers say "stop" also for calls.
        if !finished.isEmpty, reason == .stop || reason == .other { reason = .toolCalls }
        return ModelResponse(text: text, reasoning: reasoning, calls: finished, usage: usage, finishReason: reason)
    }

    private mutating func read(delta: JSONNode) throws(ModelError) -> [ModelEvent] {
        var events: [ModelEvent] = []
        let thought = [delta["reasoning_content"]?.string, delta["reasoning"]?.string].compactMap { $0 }.first { !$0.isEmpty }
        if let thought {
            reasoning += thought
            events.append(.reasoningDelta(thought, stampNanoseconds: nil))
        }
        // A refusal is what the model has to say instead of an answer.
        for piece in [Self.text(delta["content"]), delta["refusal"]?.string ?? ""] where !piece.isEmpty {
            text += piece
            events.append(.textDelta(piece, stampNanoseconds: nil))
        }
        for call in delta["tool_calls"]?.elements.map({ $0 }) ?? [] { try read(call: call) }
        guard text.utf8.count <= maxBytes, reasoning.utf8.count <= maxBytes, argumentBytes <= maxBytes else {
            throw Self.malformed("the answer is larger than \(maxBytes) bytes")
        }
        return events
    }

    private mutating func read(call node: JSONNode) throws(ModelError) {
        let id = node["id"]?.string ?? ""
        let function = node["function"]
        let name = function?["name"]?.string ?? ""
        let position: Int
        if let known = self.position(index: node["index"]?.int, id: id, name: name) {
            position = known
        } else {
            guard calls.count < maxCalls else { throw Self.malformed("the answer has more than \(maxCalls) tool calls") }
            calls.append(Call(index: node["index"]?.int, id: id))
            position = calls.count - 1
        }
        if calls[position].id.isEmpty { calls[position].id = id }
        if calls[position].name.isEmpty { calls[position].name = name }
        guard let arguments = function?["arguments"], !arguments.isNull else { return }
        let piece = arguments.string.map { Array($0.utf8) } ?? Array(arguments.raw)
        argumentBytes += piece.count
        calls[position].arguments += piece
    }

    /// Which call a piece belongs to; nil: it begins a new one. An id other than the known one begins a new call even under the same index.
    private func position(index: Int?, id: String, name: String) -> Int? {
        if let index {
            guard let position = calls.lastIndex(where: { $0.index == index }) else { return nil }
            let isOther = !id.isEmpty && !calls[position].id.isEmpty && calls[position].id != id && !name.isEmpty
            return isOther ? nil : position
        }
        if !id.isEmpty { return calls.lastIndex { $0.id == id } }
        return name.isEmpty && !calls.isEmpty ? calls.count - 1 : nil
    }

    private mutating func read(usage node: JSONNode) {
        // More than any model can read or say is no count.
        let tokens = { (node: JSONNode?) in
            min(max(0, node.flatMap { $0.int ?? $0.double.flatMap { Int(exactly: $0.rounded()) } } ?? 0), 1_000_000_000)
        }
        usage = ModelUsage(
            inputTokens: tokens(node["prompt_tokens"]), outputTokens: tokens(node["completion_tokens"]),
            cachedInputTokens: tokens(node["prompt_tokens_details"]?["cached_tokens"]),
            reasoningTokens: tokens(node["completion_tokens_details"]?["reasoning_tokens"]))
    }

    /// A string, or parts of which those with text count.
    private static func text(_ content: JSONNode?) -> String {
        guard let content else { return "" }
        return content.string ?? content.elements.compactMap { $0["text"]?.string }.joined()
    }

    private static func finishReason(_ name: String) -> ModelFinishReason {
        switch name {
        case "stop", "eos", "end_turn": .stop
        case "length", "max_tokens": .length
        case "tool_calls", "function_call", "tool_use": .toolCalls
        case "content_filter": .contentFilter
        default: .other
        }
    }

    static func malformed(_ reason: String, detail: String = "") -> ModelError {
        ModelError(
            code: .malformedResponse, publicMessage: "The model provider's answer cannot be used: \(reason).", internalDetail: detail)
    }
}
