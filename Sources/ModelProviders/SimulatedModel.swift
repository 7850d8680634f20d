public import JSON

/// A model without a network: it plays the script of `model.script`, for demonstrations, tests and load.
///
/// ```json
/// { "stamp": false, "repeatLast": false, "steps": [
///   { "reasoning": "Let me see.", "text": "It is warm.", "chunkCharacters": 4,
///     "initialDelayMilliseconds": 100, "delayMilliseconds": 20,
///     "toolCalls": [ { "name": "get_weather", "arguments": { "city": "Oslo" } }, { "name": "now", "argumentsText": "not json" } ],
///     "error": { "code": "overloaded", "message": "Too busy.", "afterDeltas": 2, "times": 1 },
///     "usage": { "inputTokens": 10, "outputTokens": 5 } } ] }
/// ```
///
/// - `steps`: the nth model call of a run plays the nth step; past the end the last one with `repeatLast`, else the text `Done.`.
///   At most 1,000 steps, each of at most 10,000 deltas and 1 MiB of text.
/// - One of `text` (split into deltas of `chunkCharacters`, else one delta), `texts` (an array, one delta each) and
///   `deltas` `{count, text}` (the same delta again and again). `reasoning` is emitted before it and split alike.
/// - `{{lastToolResult}}` and `{{lastUserMessage}}` in texts stand for the message's content, at most 4 KiB of it.
/// - `initialDelayMilliseconds` passes before the first delta, `delayMilliseconds` between deltas (0 to 60,000, fractions allowed),
///   measured from the start of the call, so that pacing does not drift.
/// - `toolCalls`: each has `arguments` (any JSON) or `argumentsText` (sent as it is), else `{}`.
/// - `error`: the call fails once `afterDeltas` deltas (0) are out. `code` is one of `ModelError.Code`, default `scripted`. With `times`
///   only so many attempts fail: as a network client does, this one repeats a retryable failure before the first delta, up to twice
///   and without a pause; beyond that an attempt is one of the worker at the step (`ModelRequest.attempt`).
/// - `usage`: default are counts of words. `stamp`: each delta carries CLOCK_REALTIME nanoseconds.
public struct SimulatedModel: ModelClient {
    static let retries = 2

    public init() {}

    /// Checks a whole script, for use before an agent's version is published. Pointers are relative to the script.
    public static func validate(script: RawJSON) throws(JSONViolation) {
        try SimulatedScript(script).validateSteps()
    }

    public func perform(
        _ request: ModelRequest, emit: @Sendable (ModelEvent) async throws -> Void
    ) async throws -> ModelResponse {
        let script: SimulatedScript
        let step: SimulatedStep
        do throws(JSONViolation) {
            script = try SimulatedScript(request.script)
            step = try script.step(request.step)
        } catch {
            throw ModelError(code: .scripted, publicMessage: "The script in model.script is not valid: \(error).")
        }
        let turn = try SimulatedTurn(step, request: request)
        let failsAfter = step.failure.flatMap { failureIsDue($0, request: request) ? $0.afterDeltas : nil }
        let start = ContinuousClock.now.advanced(by: .milliseconds(step.initialDelayMilliseconds))
        if step.initialDelayMilliseconds > 0 { try await Pause.until(start) }
        for (index, delta) in turn.deltas.enumerated() {
            if index == failsAfter { break }
            if index > 0, step.delayMilliseconds > 0 {
                try await Pause.until(start.advanced(by: .milliseconds(step.delayMilliseconds * Double(index))))
            } else {
                try Task.checkCancellation()
            }
            let stamp = script.stamp ? RealtimeClock.nanoseconds() : nil
            try await emit(
                delta.isReasoning ? .reasoningDelta(delta.text, stampNanoseconds: stamp) : .textDelta(delta.text, stampNanoseconds: stamp))
        }
        try Task.checkCancellation()
        if let failure = step.failure, let failsAfter {
            throw failure.error(hasEmitted: min(failsAfter, turn.deltas.count) > 0)
        }
        return turn.response(step, request: request)
    }

    private func failureIsDue(_ failure: SimulatedStep.Failure, request: ModelRequest) -> Bool {
        guard let times = failure.times else { return true }
        let repeatsItself = failure.afterDeltas == 0 && failure.code.mayPass
        let attemptsBefore = max(request.attempt, 1) - 1
        return (repeatsItself ? attemptsBefore * (1 + Self.retries) + Self.retries : attemptsBefore) < times
    }
}

extension SimulatedStep.Failure {
    func error(hasEmitted: Bool) -> ModelError {
        ModelError(
            code: code, publicMessage: message, internalDetail: "failure in the script of a simulated model", isRetryable: code.mayPass,
            hasEmitted: hasEmitted)
    }
}

/// A step with its placeholders filled in.
private struct SimulatedTurn {
    var deltas: [(text: String, isReasoning: Bool)] = []
    private var text = ""
    private var reasoning = ""

    init(_ step: SimulatedStep, request: ModelRequest) throws {
        var filler = Placeholders(request.messages)
        for piece in step.split(filler.fill(step.reasoning ?? "")) {
            reasoning += piece
            deltas.append((piece, true))
        }
        let filled: SimulatedStep.Text =
            switch step.text {
            case .whole(let text): .whole(filler.fill(text))
            case .parts(let parts): .parts(parts.map { filler.fill($0) })
            case .repeated(let text, let count): .repeated(filler.fill(text), count: count)
            }
        for piece in step.pieces(of: filled) {
            text += piece
            deltas.append((piece, false))
            if text.utf8.count > SimulatedStep.Limits.textBytes { break }
        }
        guard filler.hasRoom, text.utf8.count <= SimulatedStep.Limits.textBytes, deltas.count <= SimulatedStep.Limits.deltas else {
            throw ModelError(
                code: .scripted,
                publicMessage:
                    "Step \(request.step) of model.script makes more than 1 MiB of text or \(SimulatedStep.Limits.deltas) deltas.")
        }
    }

    func response(_ step: SimulatedStep, request: ModelRequest) -> ModelResponse {
        let calls = step.calls.enumerated().map { index, call in
            ModelToolCall(providerCallID: "call_\(request.step)_\(index + 1)", name: call.name, arguments: call.arguments)
        }
        let usage = ModelUsage(
            inputTokens: step.inputTokens ?? request.messages.reduce(0) { $0 + $1.wordCount },
            outputTokens: step.outputTokens ?? text.wordCount + reasoning.wordCount + calls.reduce(0) { $0 + $1.arguments.wordCount },
            reasoningTokens: step.outputTokens == nil ? reasoning.wordCount : 0)
        return ModelResponse(
            text: text, reasoning: reasoning, calls: calls, usage: usage, finishReason: calls.isEmpty ? .stop : .toolCalls)
    }
}

private struct Placeholders {
    private var values: [(name: String, value: String)] = []
    /// Reasoning and text together; once it is used up nothing more is filled in, and the step is refused.
    private var remainingBytes = 2 * SimulatedStep.Limits.textBytes
    var hasRoom: Bool { remainingBytes >= 0 }

    init(_ messages: [ModelMessage]) {
        var result = ""
        var user = ""
        for message in messages {
            switch message {
            case .toolResult(_, _, let content, _): result = content
            case .user(let content): user = content
            case .system, .assistant: break
            }
        }
        values = [("{{lastToolResult}}", result), ("{{lastUserMessage}}", user)].map { name, value in
            (name, value.prefix(utf8Bytes: SimulatedStep.Limits.placeholderBytes))
        }
    }

    mutating func fill(_ text: String) -> String {
        remainingBytes -= text.utf8.count
        guard text.utf8.contains(UInt8(ascii: "{")) else { return text }
        var filled = ""
        var rest = text[...]
        // One pass: what a value brings in is never read as a placeholder.
        while hasRoom, let open = rest.firstIndex(of: "{") {
            filled += rest[..<open]
            rest = rest[open...]
            if let match = values.first(where: { rest.hasPrefix($0.name) }) {
                filled += match.value
                remainingBytes -= match.value.utf8.count
                rest = rest.dropFirst(match.name.count)
            } else {
                filled.append(rest.removeFirst())
            }
        }
        return filled + rest
    }
}

extension ModelMessage {
    fileprivate var wordCount: Int {
        switch self {
        case .system(let text), .user(let text), .toolResult(_, _, let text, _): text.wordCount
        case .assistant(let text, let calls): text.wordCount + calls.reduce(0) { $0 + $1.arguments.wordCount }
        }
    }
}
