/// The functions of expressions. Texts are counted in Unicode scalars; places begin at 0, negative ones count from the end.
enum ComputeFunction: String, Sendable, CaseIterable {
    case abs, min, max, sum, average, round, floor, ceil, sqrt, pow
    case length, upper, lower, trim, contains, startsWith, endsWith, replace, split, join, slice, indexOf, `repeat`
    case first, last, sort, reverse, unique, concat, keys, values, pluck, has
    case text, number, type, `if`, coalesce

    /// As many as a call may have.
    static let many = 64

    var arity: ClosedRange<Int> {
        switch self {
        case .abs, .sum, .average, .floor, .ceil, .sqrt, .length, .upper, .lower, .trim, .first, .last, .sort, .reverse, .unique, .keys,
            .values, .text, .number, .type:
            1...1
        case .min, .max, .concat, .coalesce: 1...Self.many
        case .round: 1...2
        case .pow, .contains, .startsWith, .endsWith, .split, .join, .indexOf, .pluck, .has, .repeat: 2...2
        case .slice: 2...3
        case .replace, .if: 3...3
        }
    }

    func apply(_ values: [ComputeValue], at position: Int) throws(ComputeError) -> ComputeValue {
        let call = ComputeCall(function: self, values: values, position: position)
        switch self {
        case .abs, .min, .max, .sum, .average, .round, .floor, .ceil, .sqrt, .pow: return .number(try call.number())
        case .upper, .lower, .trim, .startsWith, .endsWith, .replace, .split, .join, .repeat: return try call.texts()
        case .length, .contains, .slice, .indexOf, .first, .last, .sort, .reverse, .unique, .concat, .keys, .values, .pluck, .has:
            return try call.lists()
        case .text, .number, .type: return try call.conversion()
        // Evaluated where their branches are chosen.
        case .if, .coalesce: return .null
        }
    }

    static func order(_ first: ComputeValue, _ second: ComputeValue) -> Int? {
        switch (first, second) {
        case (.number(let a), .number(let b)): a < b ? -1 : a > b ? 1 : 0
        case (.string(let a), .string(let b)):
            // By code points, the same everywhere.
            a.unicodeScalars.lexicographicallyPrecedes(b.unicodeScalars)
                ? -1 : b.unicodeScalars.lexicographicallyPrecedes(a.unicodeScalars) ? 1 : 0
        default: nil
        }
    }

    /// nil when there is no such place.
    static func index(_ place: Double, of count: Int) -> Int? {
        guard place == place.rounded(), Swift.abs(place) <= Double(count) else { return nil }
        let index = place < 0 ? count + Int(place) : Int(place)
        return (0..<count).contains(index) ? index : nil
    }
}

/// One call of a function with its values.
struct ComputeCall {
    let function: ComputeFunction
    let values: [ComputeValue]
    let position: Int

    func fail(_ message: String) -> ComputeError { ComputeError(message: "\(function.rawValue): \(message)", position: position) }

    func number(_ index: Int) throws(ComputeError) -> Double {
        guard case .number(let value) = values[index] else { throw fail("takes a number, not a \(values[index].typeName)") }
        return value
    }

    func string(_ index: Int) throws(ComputeError) -> String {
        guard case .string(let value) = values[index] else { throw fail("takes a text, not a \(values[index].typeName)") }
        return value
    }

    func list(_ index: Int) throws(ComputeError) -> [ComputeValue] {
        guard case .list(let value) = values[index] else { throw fail("takes a list, not a \(values[index].typeName)") }
        return value
    }

    /// The numbers of a list, or those that were given one by one.
    private func numbers() throws(ComputeError) -> [Double] {
        let all = if values.count == 1, case .list(let list) = values[0] { list } else { values }
        var numbers: [Double] = []
        for value in all {
            guard case .number(let number) = value else { throw fail("takes numbers, not a \(value.typeName)") }
            numbers.append(number)
        }
        return numbers
    }

    func number() throws(ComputeError) -> Double {
        let result: Double
        switch function {
        case .abs: result = Swift.abs(try number(0))
        case .floor: result = try number(0).rounded(.down)
        case .ceil: result = try number(0).rounded(.up)
        case .round: result = try rounded()
        case .sqrt:
            let value = try number(0)
            guard value >= 0 else { throw fail("a negative number has no square root here") }
            result = value.squareRoot()
        case .pow: result = try power()
        case .sum: result = try numbers().reduce(0, +)
        case .average:
            let all = try numbers()
            guard !all.isEmpty else { throw fail("an empty list has none") }
            result = all.reduce(0, +) / Double(all.count)
        default:
            let all = try numbers()
            guard let extreme = function == .min ? all.min() : all.max() else { throw fail("an empty list has none") }
            result = extreme
        }
        guard result.isFinite else { throw fail("the number is too large") }
        return result
    }

    /// Half away from zero, of the decimal that the number is written as: round(1.005, 2) is 1.01.
    private func rounded() throws(ComputeError) -> Double {
        let value = try number(0)
        guard values.count == 2 else { return value.rounded(.toNearestOrAwayFromZero) }
        let digits = try number(1)
        guard digits == digits.rounded(), (0...15).contains(digits) else { throw fail("takes 0 to 15 digits") }
        // Moved by its exponent in text, so that no multiplication makes 100.49999999999999 of 1.005.
        let text = "\(value)"
        let parts = text.split(separator: "e")
        let exponent = parts.count == 2 ? Int(parts[1]) ?? 0 : 0
        guard let moved = Double("\(parts[0])e\(exponent + Int(digits))"), moved.isFinite else { return value }
        return Double("\(moved.rounded(.toNearestOrAwayFromZero))e-\(Int(digits))".normalisedExponent) ?? value
    }

    /// Whole exponents, by squaring.
    private func power() throws(ComputeError) -> Double {
        let exponent = try number(1)
        guard exponent == exponent.rounded(), Swift.abs(exponent) <= 1024 else { throw fail("takes a whole exponent up to 1024") }
        var base = try number(0)
        var left = Int(Swift.abs(exponent))
        var result = 1.0
        while left > 0 {
            if left & 1 == 1 { result *= base }
            base *= base
            left >>= 1
        }
        guard exponent < 0 else { return result }
        guard result != 0 else { throw fail("division by zero") }
        return 1 / result
    }

    func conversion() throws(ComputeError) -> ComputeValue {
        switch (function, values[0]) {
        case (.type, let value): return .string(value.typeName)
        case (.text, .string), (.number, .number): return values[0]
        case (.text, .number(let value)): return .string(ComputeValue.text(value))
        case (.text, .bool(let value)): return .string(value ? "true" : "false")
        case (.text, .null): return .string("")
        case (.number, .string(let text)):
            let trimmed = text.filter { $0 != " " }
            guard !trimmed.isEmpty, trimmed.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }),
                let value = Double(trimmed), value.isFinite
            else { throw fail("the text is no number") }
            return .number(value)
        case (.number, .bool(let value)): return .number(value ? 1 : 0)
        default: throw fail("a \(values[0].typeName) cannot be made one")
        }
    }
}

extension String {
    /// `1.5e+20e-2` has two exponents: they are added.
    fileprivate var normalisedExponent: String {
        let parts = split(separator: "e")
        guard parts.count == 3, let first = Int(parts[1]), let second = Int(parts[2]) else { return self }
        return "\(parts[0])e\(first + second)"
    }
}
