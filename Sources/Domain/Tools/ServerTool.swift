public import JSON

/// How a server tool is carried out in this process.
public enum ServerToolKind: Sendable, Hashable {
    /// The same answer every time.
    case `static`(RawJSON)
    /// The answer is the arguments.
    case passThrough
    case request(RequestTool)
    case compute(ComputeExpression)
    case waiting(WaitingTool)
    /// A run of another agent.
    case agent(AgentTool)
    /// A tool of an MCP server: the name that the config gives the server, and the one that the server gives the tool.
    case mcp(server: String, tool: String)

    public var secretNames: Set<String> { if case .request(let tool) = self { tool.secretNames } else { [] } }
}

/// `executionType: waiting`: the call's result comes when a time has come. Nobody is held meanwhile: the run is a row that waits.
public struct WaitingTool: Sendable, Hashable {
    private enum Moment: Sendable, Hashable {
        case seconds(Int)
        /// An argument that holds seconds.
        case secondsArgument([String])
        /// An argument that holds an RFC 3339 time.
        case untilArgument([String])
    }

    private let moment: Moment

    /// Where the config says how long it takes, whatever the arguments are.
    var seconds: Int? { if case .seconds(let seconds) = moment { seconds } else { nil } }

    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        let (seconds, until) = (try reader.optionalNode("seconds"), try reader.optionalNode("until"))
        switch (seconds, until) {
        case (let seconds?, nil):
            let place = reader.pointer(to: "seconds")
            if let count = seconds.int, (1...Limits.maxWaitingSeconds).contains(count) {
                moment = .seconds(count)
            } else {
                moment = .secondsArgument(
                    try Self.argument(seconds, at: place, or: "a whole number from 1 to \(Limits.maxWaitingSeconds), or "))
            }
        case (nil, let until?): moment = .untilArgument(try Self.argument(until, at: reader.pointer(to: "until"), or: ""))
        default: throw JSONViolation(pointer: pointer, message: "must have either seconds or until")
        }
        try reader.finish()
    }

    private static func argument(_ node: JSONNode, at pointer: String, or: String) throws(JSONViolation) -> [String] {
        guard let text = node.string, let path = (try? TextTemplate(text))?.onlyArgument else {
            throw JSONViolation(pointer: pointer, message: "must be \(or)one argument: \"{{name}}\"")
        }
        return path
    }

    /// When a call that is made now is due; in the past: at once.
    public func due(_ arguments: JSONNode, from now: Timestamp) throws(TemplateError) -> Timestamp {
        let values = TemplateValues(arguments: arguments, secrets: [])
        let due: Timestamp
        switch moment {
        case .seconds(let seconds): due = now.adding(seconds: seconds)
        case .secondsArgument(let path):
            guard let node = values.node(path), let seconds = node.double, (0...Double(Limits.maxWaitingSeconds)).contains(seconds) else {
                throw TemplateError(
                    "The argument \(path.joined(separator: ".")) must be seconds, from 0 to \(Limits.maxWaitingSeconds).")
            }
            due = now.adding(milliseconds: Int(seconds * 1000))
        case .untilArgument(let path):
            guard let text = values.node(path)?.string, let time = Timestamp(rfc3339: text) else {
                throw TemplateError("The argument \(path.joined(separator: ".")) must be an RFC 3339 time, such as 2026-01-31T09:30:00Z.")
            }
            // What is over is due now; Postgres has no year 0, which RFC 3339 does.
            due = max(time, now)
        }
        guard due <= now.adding(seconds: Limits.maxWaitingSeconds) else {
            throw TemplateError("The time is further ahead than \(Limits.maxWaitingSeconds) seconds.")
        }
        return due
    }
}

/// Where an external tool is called; nil for those that are answered over the API alone.
public struct ExternalEndpoint: Sendable, Hashable {
    public let url: OutboundURL
    public let headers: [RequestTool.Field]

    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        let text = try reader.string("url", maxBytes: Limits.maxOutboundURLBytes)
        do throws(OutboundURLError) { url = try OutboundURL(text) } catch {
            throw JSONViolation(pointer: reader.pointer(to: "url"), message: error.message)
        }
        headers = try RequestTool.readHeaders(&reader)
        for field in headers where field.value.parts.contains(where: { if case .argument = $0 { true } else { false } }) {
            throw JSONViolation(
                pointer: reader.pointer(to: "headers") + "/" + field.name, message: "must hold no argument; they are in the body")
        }
        for field in headers where Self.ownHeaders.contains(field.name.lowercased()) {
            throw JSONViolation(pointer: reader.pointer(to: "headers") + "/" + field.name, message: "is set by the gateway")
        }
        try reader.finish()
    }

    /// What the gateway says of the call itself, so that no config can say otherwise.
    private static let ownHeaders: Set<String> = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature"]

    /// With the secrets put in.
    public func filledHeaders(_ secrets: [Secret]) throws(TemplateError) -> [(name: String, value: String)] {
        guard let nothing = try? RawJSON.emptyObject.document().root else { throw TemplateError("cannot be filled in") }
        let values = TemplateValues(arguments: nothing, secrets: secrets)
        var filled: [(name: String, value: String)] = []
        for field in headers { if let value = try field.headerValue(values) { filled.append((field.name, value)) } }
        return filled
    }

    public var secretNames: Set<String> { headers.reduce(into: []) { $0.formUnion($1.value.secretNames) } }
}
