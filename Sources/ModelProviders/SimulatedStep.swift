import JSON

/// One step of a simulated model's script, checked. The format is documented at `SimulatedModel`.
struct SimulatedStep: Sendable {
    enum Limits {
        static let steps = 1_000
        static let deltas = 10_000
        static let textBytes = 1 << 20
        static let delayMilliseconds = 60_000.0
        static let calls = 128
        static let placeholderBytes = 4_096
    }

    enum Text: Sendable {
        case whole(String)
        case parts([String])
        case repeated(String, count: Int)
    }

    struct Failure: Sendable {
        var code: ModelError.Code
        var message: String
        var afterDeltas: Int
        /// How many attempts fail; nil: all.
        var times: Int?
    }

    var text = Text.parts([])
    var reasoning: String?
    var chunkCharacters: Int?
    var delayMilliseconds = 0.0
    var initialDelayMilliseconds = 0.0
    var calls: [(name: String, arguments: String)] = []
    var failure: Failure?
    var inputTokens: Int?
    var outputTokens: Int?

    /// What is played past the end of a script.
    static let closing: SimulatedStep = {
        var step = SimulatedStep()
        step.text = .whole("Done.")
        return step
    }()

    private init() {}

    init(_ node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        text = try Self.text(&reader)
        reasoning = try reader.optionalString("reasoning", maxBytes: Limits.textBytes)
        chunkCharacters = try reader.optionalInt("chunkCharacters", in: 1...65_536)
        delayMilliseconds = try reader.optionalDouble("delayMilliseconds", in: 0...Limits.delayMilliseconds) ?? 0
        initialDelayMilliseconds = try reader.optionalDouble("initialDelayMilliseconds", in: 0...Limits.delayMilliseconds) ?? 0
        calls = try Self.calls(&reader)
        failure = try Self.failure(&reader)
        if var usage = try reader.optionalObject("usage") {
            inputTokens = try usage.optionalInt("inputTokens", in: 0...1_000_000_000)
            outputTokens = try usage.optionalInt("outputTokens", in: 0...1_000_000_000)
            try usage.finish()
        }
        try reader.finish()
        let count = pieces(of: text).count + (reasoning.map { split($0).count } ?? 0)
        guard count <= Limits.deltas else {
            throw JSONViolation(pointer: pointer, message: "makes \(count) deltas; a step may have at most \(Limits.deltas)")
        }
    }

    private static func text(_ reader: inout JSONObjectReader) throws(JSONViolation) -> Text {
        let named = ["text", "texts", "deltas"].filter(reader.has)
        guard named.count <= 1 else {
            throw JSONViolation(pointer: reader.pointer(to: named[1]), message: "only one of text, texts and deltas may be given")
        }
        if let text = try reader.optionalString("text", maxBytes: Limits.textBytes) { return .whole(text) }
        if let texts = try reader.optionalStrings("texts", maxCount: Limits.deltas, maxBytes: 65_536) { return .parts(texts) }
        if var deltas = try reader.optionalObject("deltas") {
            let count = try deltas.int("count", in: 0...Limits.deltas)
            let text = try deltas.string("text", maxBytes: 65_536)
            try deltas.finish()
            return .repeated(text, count: count)
        }
        return .parts([])
    }

    private static func calls(_ reader: inout JSONObjectReader) throws(JSONViolation) -> [(name: String, arguments: String)] {
        guard let node = try reader.optionalNode("toolCalls") else { return [] }
        let pointer = reader.pointer(to: "toolCalls")
        guard node.kind == .array, node.count <= Limits.calls else {
            throw JSONViolation(pointer: pointer, message: "must be an array of at most \(Limits.calls) calls")
        }
        var calls: [(name: String, arguments: String)] = []
        for (index, element) in node.elements.enumerated() {
            var call = try JSONObjectReader(element, at: "\(pointer)/\(index)")
            let name = try call.string("name", maxBytes: 128)
            let arguments = try call.optionalNode("arguments")
            let text = try call.optionalString("argumentsText", maxBytes: Limits.textBytes)
            try call.finish()
            guard arguments == nil || text == nil else {
                throw JSONViolation(
                    pointer: call.pointer(to: "argumentsText"), message: "only one of arguments and argumentsText may be given")
            }
            calls.append((name, text ?? arguments?.rawJSON.string ?? "{}"))
        }
        return calls
    }

    private static func failure(_ reader: inout JSONObjectReader) throws(JSONViolation) -> Failure? {
        guard var error = try reader.optionalObject("error") else { return nil }
        let name = try error.optionalString("code", maxBytes: 64) ?? ModelError.Code.scripted.rawValue
        let message = try error.optionalString("message", maxBytes: 4_096) ?? "The script says that this step fails."
        let afterDeltas = try error.optionalInt("afterDeltas", in: 0...Limits.deltas) ?? 0
        let times = try error.optionalInt("times", in: 1...1_000)
        guard let code = ModelError.Code.allCases.first(where: { $0.rawValue == name || "\($0)" == name }) else {
            let known = ModelError.Code.allCases.map(\.rawValue).joined(separator: ", ")
            throw JSONViolation(pointer: error.pointer(to: "code"), message: "must be one of \(known)")
        }
        try error.finish()
        return Failure(code: code, message: message, afterDeltas: afterDeltas, times: times)
    }
}

extension SimulatedStep {
    /// The deltas of `text`, in order.
    func pieces(of text: Text) -> [String] {
        switch text {
        case .whole(let text): split(text)
        case .parts(let parts): parts
        case .repeated(let text, let count): Array(repeating: text, count: count)
        }
    }

    /// Whole characters only, so that no delta ends within one.
    func split(_ text: String) -> [String] {
        guard !text.isEmpty else { return [] }
        guard let chunkCharacters else { return [text] }
        var pieces: [String] = []
        var start = text.startIndex
        while start < text.endIndex {
            let end = text.index(start, offsetBy: chunkCharacters, limitedBy: text.endIndex) ?? text.endIndex
            pieces.append(String(text[start..<end]))
            start = end
        }
        return pieces
    }
}

/// The outer object of a script.
struct SimulatedScript {
    var stamp: Bool
    private var repeatLast: Bool
    private var steps: JSONNode?

    init(_ script: RawJSON?) throws(JSONViolation) {
        guard let script else {
            (stamp, repeatLast) = (false, false)
            return
        }
        let root: JSONNode
        do {
            root = try script.document().root
        } catch {
            throw JSONViolation(pointer: "", message: "is not valid JSON: \(error)")
        }
        var reader = try JSONObjectReader(root)
        stamp = try reader.optionalBool("stamp") ?? false
        repeatLast = try reader.optionalBool("repeatLast") ?? false
        let steps = try reader.node("steps")
        try reader.finish()
        guard steps.kind == .array, steps.count <= SimulatedStep.Limits.steps else {
            throw JSONViolation(pointer: "/steps", message: "must be an array of at most \(SimulatedStep.Limits.steps) steps")
        }
        self.steps = steps
    }

    func validateSteps() throws(JSONViolation) {
        guard let steps else { return }
        for (index, node) in steps.elements.enumerated() { _ = try SimulatedStep(node, at: "/steps/\(index)") }
    }

    /// The step with the 1-based `number`.
    func step(_ number: Int) throws(JSONViolation) -> SimulatedStep {
        guard let steps, steps.count > 0 else { return .closing }
        let index = repeatLast ? min(number, steps.count) - 1 : number - 1
        guard index >= 0, let node = steps[index] else { return .closing }
        return try SimulatedStep(node, at: "/steps/\(index)")
    }
}
