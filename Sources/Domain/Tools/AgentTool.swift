public import JSON

/// `executionType: ai-agent`: a call starts a run of another agent of the tenant, and what that run comes to is the call's result.
public struct AgentTool: Sendable, Hashable {
    /// What of the other agent's answer is the result.
    public enum Output: String, Sendable, Hashable, CaseIterable {
        /// Its last text, as a string.
        case text
        /// Its last text is JSON, and that is the result.
        case json
    }

    /// Looked up when a call is made: agents may be published in any order, and may name each other.
    public let agentName: String
    /// A version's label; nil: the one that is current at the call.
    public let version: String?
    public let output: Output
    private let message: TextTemplate?

    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        agentName = try Names.read("agent", from: &reader)
        version = try reader.optionalString("version", maxBytes: 1024)
        guard version.map(Names.isValid) ?? true else {
            throw JSONViolation(pointer: reader.pointer(to: "version"), message: Names.rule)
        }
        let text = try reader.optionalString("message", maxBytes: Limits.maxAgentMessageBytes)
        let place = reader.pointer(to: "message")
        do throws(TemplateError) {
            message = try text.map { text throws(TemplateError) in try TextTemplate(text) }
        } catch { throw JSONViolation(pointer: place, message: error.message) }
        guard message?.secretNames.isEmpty ?? true else {
            throw JSONViolation(pointer: place, message: "must hold no secret: a model reads it")
        }
        let outputName = try reader.optionalString("output", maxBytes: 16) ?? Output.text.rawValue
        guard let output = Output(rawValue: outputName) else {
            throw JSONViolation(pointer: reader.pointer(to: "output"), message: "must be text or json")
        }
        self.output = output
        try reader.finish()
    }

    /// What the other agent is told: the config's message with the arguments put in, an absent one as nothing; without a message the
    /// arguments themselves, as JSON.
    public func input(_ arguments: JSONNode) throws(TemplateError) -> String {
        guard let message else { return arguments.rawJSON.string }
        let values = TemplateValues(arguments: arguments, secrets: [])
        var text = ""
        for part in message.parts {
            switch part {
            case .text(let literal): text += literal
            case .argument(let path): text += values.argument(path) ?? ""
            case .secret: break
            }
            guard text.utf8.count <= Limits.maxToolRequestBytes else {
                throw TemplateError("The message is longer than \(Limits.maxToolRequestBytes) bytes with the arguments put in.")
            }
        }
        guard !text.isEmpty else { throw TemplateError("The message is empty with these arguments.") }
        return text
    }

    /// What the other agent's last text is as a result.
    static func result(_ text: String, as output: Output) -> ToolOutcome {
        switch output {
        case .text: return .result(ResultCut.string(text), source: .server)
        case .json:
            guard let json = try? RawJSON(validating: Array(unfenced(text).utf8)) else {
                return .failed(
                    ToolError(code: "child_output_not_json", message: "The agent answered with text that is no JSON."), source: .server)
            }
            return .result(json.compacted(), source: .server)
        }
    }

    /// Models like to put JSON between lines of ```.
    private static func unfenced(_ text: String) -> Substring {
        var rest = Substring(text)
        func trim() {
            while let first = rest.unicodeScalars.first, first.properties.isWhitespace { rest = Substring(rest.unicodeScalars.dropFirst()) }
            while let last = rest.unicodeScalars.last, last.properties.isWhitespace { rest = Substring(rest.unicodeScalars.dropLast()) }
        }
        trim()
        guard rest.hasPrefix("```"), rest.hasSuffix("```"), let line = rest.firstIndex(where: \.isNewline) else { return rest }
        rest = rest[rest.index(after: line)...].dropLast(3)
        trim()
        return rest
    }
}
