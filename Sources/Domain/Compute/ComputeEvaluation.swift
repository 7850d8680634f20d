import JSON

/// One evaluation, with its bounds.
struct ComputeEvaluation {
    private let arguments: JSONNode
    private var steps = 0
    private var bytes = 0

    init(arguments: JSONNode) { self.arguments = arguments }

    mutating func value(_ node: ComputeNode) throws(ComputeError) -> ComputeValue {
        try charge(0, at: 0)
        switch node {
        case .literal(let value): return value
        case .argument(let name, let position):
            // What an inputSchema calls optional may be absent: null then, as `??` and coalesce expect it.
            guard let node = arguments[name] else { return .null }
            return try made(ComputeValue(node), size: node.raw.count, at: position)
        case .unary(let sign, let operand, let position): return try unary(sign, value(operand), position)
        case .binary(let sign, let left, let right, let position): return try binary(sign, left, right, position)
        case .condition(let condition, let yes, let no, let position):
            return try value(truth(value(condition), position) ? yes : no)
        case .member(let object, let name, let position):
            switch try value(object) {
            case .object(let members): return members[name] ?? .null
            case .null: return .null
            case let other: throw ComputeError(message: "a \(other.typeName) has no members", position: position)
            }
        case .element(let base, let key, let position): return try element(value(base), value(key), position)
        case .list(let nodes):
            var list: [ComputeValue] = []
            for node in nodes { list.append(try value(node)) }
            return try made(.list(list), at: 0)
        case .object(let members):
            var object: [String: ComputeValue] = [:]
            for (name, node) in members { object[name] = try value(node) }
            return try made(.object(object), at: 0)
        case .call(let function, let nodes, let position):
            // The branches of a condition that are not taken are not evaluated.
            if function == .if { return try value(truth(value(nodes[0]), position) ? nodes[1] : nodes[2]) }
            if function == .coalesce {
                for node in nodes { if case let found = try value(node), found != .null { return found } }
                return .null
            }
            var values: [ComputeValue] = []
            for node in nodes { values.append(try value(node)) }
            try charge(values.reduce(0) { $0 + $1.bytes } / 64, at: position)
            return try made(function.apply(values, at: position), at: position)
        }
    }

    private mutating func charge(_ more: Int, at position: Int) throws(ComputeError) {
        steps += 1 + more
        guard steps <= Limits.maxExpressionSteps else {
            throw ComputeError(message: "the expression takes too many steps with these arguments", position: position)
        }
    }

    private mutating func made(_ value: ComputeValue, size: Int? = nil, at position: Int) throws(ComputeError) -> ComputeValue {
        bytes += size ?? value.bytes
        guard bytes <= Limits.maxExpressionValueBytes else {
            throw ComputeError(message: "the expression makes values that are too large", position: position)
        }
        return value
    }

    private func truth(_ value: ComputeValue, _ position: Int) throws(ComputeError) -> Bool {
        guard case .bool(let bool) = value else {
            throw ComputeError(message: "a \(value.typeName) is neither true nor false", position: position)
        }
        return bool
    }

    private func unary(_ sign: String, _ value: ComputeValue, _ position: Int) throws(ComputeError) -> ComputeValue {
        if sign == "!" { return .bool(try !truth(value, position)) }
        guard case .number(let number) = value else {
            throw ComputeError(message: "a \(value.typeName) has no negative", position: position)
        }
        return .number(-number)
    }

    private mutating func binary(
        _ sign: String, _ left: ComputeNode, _ right: ComputeNode, _ position: Int
    ) throws(ComputeError) -> ComputeValue {
        let first = try value(left)
        switch sign {
        case "&&": return .bool(try truth(first, position) ? truth(value(right), position) : false)
        case "||": return .bool(try truth(first, position) ? true : truth(value(right), position))
        case "??": return first == .null ? try value(right) : first
        default: break
        }
        let second = try value(right)
        switch sign {
        case "==": return .bool(first == second)
        case "!=": return .bool(first != second)
        case "<": return .bool(try ordered(first, second, position) < 0)
        case "<=": return .bool(try ordered(first, second, position) <= 0)
        case ">": return .bool(try ordered(first, second, position) > 0)
        case ">=": return .bool(try ordered(first, second, position) >= 0)
        default: break
        }
        if sign == "+", case .string(let a) = first, case .string(let b) = second { return try made(.string(a + b), at: position) }
        guard case .number(let a) = first, case .number(let b) = second else {
            throw ComputeError(
                message: "\(sign) takes two numbers\(sign == "+" ? " or two texts" : ""), not \(first.typeName) and \(second.typeName)",
                position: position)
        }
        return .number(try Self.arithmetic(sign, a, b, position))
    }

    static func arithmetic(_ sign: String, _ a: Double, _ b: Double, _ position: Int) throws(ComputeError) -> Double {
        if b == 0, sign == "/" || sign == "%" { throw ComputeError(message: "division by zero", position: position) }
        let result: Double =
            switch sign {
            case "+": a + b
            case "-": a - b
            case "*": a * b
            case "/": a / b
            default: a.truncatingRemainder(dividingBy: b)
            }
        guard result.isFinite else { throw ComputeError(message: "the number is too large", position: position) }
        return result
    }

    private func ordered(_ first: ComputeValue, _ second: ComputeValue, _ position: Int) throws(ComputeError) -> Int {
        guard let order = ComputeFunction.order(first, second) else {
            throw ComputeError(
                message: "only two numbers or two texts have an order, not \(first.typeName) and \(second.typeName)", position: position)
        }
        return order
    }

    private func element(_ base: ComputeValue, _ key: ComputeValue, _ position: Int) throws(ComputeError) -> ComputeValue {
        switch (base, key) {
        case (.null, _): return .null
        case (.object(let members), .string(let name)): return members[name] ?? .null
        case (.list(let list), .number(let place)):
            guard let index = ComputeFunction.index(place, of: list.count) else { return .null }
            return list[index]
        case (.string(let text), .number(let place)):
            let scalars = Array(text.unicodeScalars)
            guard let index = ComputeFunction.index(place, of: scalars.count) else { return .null }
            return .string(String(scalars[index]))
        default: throw ComputeError(message: "a \(base.typeName) has no element \(key.typeName)", position: position)
        }
    }
}
