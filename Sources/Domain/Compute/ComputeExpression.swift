public import JSON

/// An expression over a call's arguments: arithmetic, comparison, logic, texts, lists, conditions. No loops, no names but the
/// arguments', nothing outside them. docs/TOOLS.md describes the language.
public struct ComputeExpression: Sendable, Hashable {
    public let text: String
    private let root: ComputeNode

    public init(_ text: String) throws(ComputeError) {
        guard text.utf8.count <= Limits.maxExpressionBytes else {
            throw ComputeError(message: "the expression is longer than \(Limits.maxExpressionBytes) bytes", position: 0)
        }
        self.text = text
        root = try ComputeParser.parse(text)
    }

    public static func == (left: ComputeExpression, right: ComputeExpression) -> Bool { left.text == right.text }
    public func hash(into hasher: inout Hasher) { hasher.combine(text) }

    /// - Parameter arguments: an object; its members are the names that the expression can use.
    public func evaluate(_ arguments: JSONNode) throws(ComputeError) -> RawJSON {
        var evaluation = ComputeEvaluation(arguments: arguments)
        let value = try evaluation.value(root)
        var writer = JSONWriter()
        value.write(to: &writer)
        guard writer.bytes.count <= 4 * Limits.maxExpressionValueBytes else {
            throw ComputeError(message: "the result is too large", position: 0)
        }
        return RawJSON(trusted: writer.bytes)
    }
}

indirect enum ComputeNode: Sendable {
    case literal(ComputeValue)
    case argument(String, position: Int)
    case unary(String, ComputeNode, position: Int)
    case binary(String, ComputeNode, ComputeNode, position: Int)
    case condition(ComputeNode, ComputeNode, ComputeNode, position: Int)
    case member(ComputeNode, String, position: Int)
    case element(ComputeNode, ComputeNode, position: Int)
    case list([ComputeNode])
    case object([(String, ComputeNode)])
    case call(ComputeFunction, [ComputeNode], position: Int)
}

/// Recursive descent; depth is bounded, so no expression can exhaust the stack.
struct ComputeParser {
    private let tokens: [ComputeToken]
    private var index = 0
    private var depth = 0

    static func parse(_ text: String) throws(ComputeError) -> ComputeNode {
        var parser = ComputeParser(tokens: try ComputeLexer.tokens(text))
        let node = try parser.expression()
        guard parser.current.kind == .end else { throw parser.unexpected() }
        return node
    }

    private init(tokens: [ComputeToken]) { self.tokens = tokens }

    private var current: ComputeToken { tokens[index] }

    private func unexpected(_ wanted: String? = nil) -> ComputeError {
        let found: String =
            switch current.kind {
            case .end: "the expression ends"
            case .number(let value): ComputeValue.text(value)
            case .string: "a text"
            case .name(let name): name
            case .sign(let sign): sign
            }
        return ComputeError(message: "\(found) where \(wanted ?? "an operator") is expected", position: current.position)
    }

    /// The position of the sign, if it is the next.
    private mutating func take(_ sign: String) -> Int? {
        guard current.kind == .sign(sign) else { return nil }
        defer { index += 1 }
        return current.position
    }

    private mutating func expect(_ sign: String) throws(ComputeError) {
        guard take(sign) != nil else { throw unexpected(sign) }
    }

    private mutating func expression() throws(ComputeError) -> ComputeNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Limits.maxExpressionDepth else {
            throw ComputeError(message: "nested deeper than \(Limits.maxExpressionDepth)", position: current.position)
        }
        let condition = try binary(0)
        guard let position = take("?") else { return condition }
        let yes = try expression()
        try expect(":")
        return .condition(condition, yes, try expression(), position: position)
    }

    /// Weakest first; operators of one row bind from the left.
    private static let rows: [[String]] = [
        ["??"], ["||"], ["&&"], ["==", "!="], ["<", "<=", ">", ">="], ["+", "-"], ["*", "/", "%"],
    ]

    private mutating func binary(_ row: Int) throws(ComputeError) -> ComputeNode {
        guard row < Self.rows.count else { return try unary() }
        var left = try binary(row + 1)
        var length = 0
        while case .sign(let sign) = current.kind, Self.rows[row].contains(sign) {
            let position = current.position
            index += 1
            length += 1
            // A long chain is as deep as it is long.
            guard length <= 1000 else { throw ComputeError(message: "more than 1000 operators in a row", position: position) }
            left = .binary(sign, left, try binary(row + 1), position: position)
        }
        return left
    }

    private mutating func unary() throws(ComputeError) -> ComputeNode {
        for sign in ["-", "!"] {
            guard let position = take(sign) else { continue }
            depth += 1
            defer { depth -= 1 }
            guard depth <= Limits.maxExpressionDepth else {
                throw ComputeError(message: "nested deeper than \(Limits.maxExpressionDepth)", position: position)
            }
            return .unary(sign, try unary(), position: position)
        }
        return try postfix()
    }

    private mutating func postfix() throws(ComputeError) -> ComputeNode {
        var node = try primary()
        for _ in 0..<Limits.maxExpressionDepth {
            if let position = take(".") {
                guard case .name(let name) = current.kind else { throw unexpected("a member's name") }
                index += 1
                node = .member(node, name, position: position)
            } else if let position = take("[") {
                node = .element(node, try expression(), position: position)
                try expect("]")
            } else {
                return node
            }
        }
        throw ComputeError(message: "more than \(Limits.maxExpressionDepth) members in a row", position: current.position)
    }

    private mutating func primary() throws(ComputeError) -> ComputeNode {
        let token = current
        switch token.kind {
        case .number(let value):
            index += 1
            return .literal(.number(value))
        case .string(let text):
            index += 1
            return .literal(.string(text))
        case .name(let name):
            index += 1
            return try named(name, at: token.position)
        case .sign("("):
            index += 1
            let node = try expression()
            try expect(")")
            return node
        case .sign("["):
            index += 1
            return .list(try sequence(until: "]"))
        case .sign("{"):
            index += 1
            return try object()
        default: throw unexpected("a value")
        }
    }

    private mutating func named(_ name: String, at position: Int) throws(ComputeError) -> ComputeNode {
        guard take("(") != nil else {
            return switch name {
            case "true": .literal(.bool(true))
            case "false": .literal(.bool(false))
            case "null": .literal(.null)
            default: .argument(name, position: position)
            }
        }
        guard let function = ComputeFunction(rawValue: name) else {
            throw ComputeError(message: "there is no function \(name)", position: position)
        }
        let arguments = try sequence(until: ")")
        guard function.arity.contains(arguments.count) else {
            let (least, most) = (function.arity.lowerBound, function.arity.upperBound)
            let wanted = least == most ? "\(least)" : most == ComputeFunction.many ? "\(least) or more" : "\(least) to \(most)"
            throw ComputeError(message: "\(name) takes \(wanted) arguments, not \(arguments.count)", position: position)
        }
        return .call(function, arguments, position: position)
    }

    private mutating func sequence(until end: String) throws(ComputeError) -> [ComputeNode] {
        var nodes: [ComputeNode] = []
        if take(end) != nil { return nodes }
        while true {
            nodes.append(try expression())
            if take(end) != nil { return nodes }
            try expect(",")
        }
    }

    private mutating func object() throws(ComputeError) -> ComputeNode {
        var members: [(String, ComputeNode)] = []
        if take("}") != nil { return .object(members) }
        while true {
            switch current.kind {
            case .name(let name), .string(let name):
                guard !members.contains(where: { $0.0 == name }) else {
                    throw ComputeError(message: "the member \(name) is there twice", position: current.position)
                }
                index += 1
                try expect(":")
                members.append((name, try expression()))
            default: throw unexpected("a member's name")
            }
            if take("}") != nil { return .object(members) }
            try expect(",")
        }
    }
}
