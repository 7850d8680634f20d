/// A word of an expression.
struct ComputeToken: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        case number(Double)
        case string(String)
        case name(String)
        /// An operator or a bracket.
        case sign(String)
        case end
    }

    let kind: Kind
    let position: Int
}

struct ComputeLexer {
    private let text: [Unicode.Scalar]
    private var index = 0

    static func tokens(_ text: String) throws(ComputeError) -> [ComputeToken] {
        var lexer = ComputeLexer(text: Array(text.unicodeScalars))
        var tokens: [ComputeToken] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    private init(text: [Unicode.Scalar]) { self.text = text }

    private mutating func next() throws(ComputeError) -> ComputeToken {
        while index < text.count, " \t\r\n".unicodeScalars.contains(text[index]) { index += 1 }
        let start = index
        guard index < text.count else { return ComputeToken(kind: .end, position: start) }
        let first = text[index]
        if first.isDigit { return ComputeToken(kind: .number(try number()), position: start) }
        if first == "'" || first == "\"" { return ComputeToken(kind: .string(try string(first)), position: start) }
        if first.isNameStart {
            while index < text.count, text[index].isNameStart || text[index].isDigit { index += 1 }
            return ComputeToken(kind: .name(slice(start)), position: start)
        }
        for sign in ["==", "!=", "<=", ">=", "&&", "||", "??"] where slice(start, count: 2) == sign {
            index += 2
            return ComputeToken(kind: .sign(sign), position: start)
        }
        guard "+-*/%<>!?:().,[]{}".unicodeScalars.contains(first) else {
            throw ComputeError(message: "\(String(first)) means nothing here", position: start)
        }
        index += 1
        return ComputeToken(kind: .sign(String(first)), position: start)
    }

    private func slice(_ start: Int) -> String { slice(start, count: index - start) }

    private func slice(_ start: Int, count: Int) -> String {
        var result = ""
        result.unicodeScalars.append(contentsOf: text[start..<min(start + count, text.count)])
        return result
    }

    /// As JSON writes numbers (RFC 8259 §6), leading zeros allowed, no sign.
    private mutating func number() throws(ComputeError) -> Double {
        let start = index
        while index < text.count, text[index].isDigit { index += 1 }
        if index + 1 < text.count, text[index] == ".", text[index + 1].isDigit {
            index += 1
            while index < text.count, text[index].isDigit { index += 1 }
        }
        if index < text.count, text[index] == "e" || text[index] == "E" {
            let mark = index
            index += 1
            if index < text.count, text[index] == "+" || text[index] == "-" { index += 1 }
            guard index < text.count, text[index].isDigit else {
                throw ComputeError(message: "the exponent has no digits", position: mark)
            }
            while index < text.count, text[index].isDigit { index += 1 }
        }
        guard let value = Double(slice(start)), value.isFinite else {
            throw ComputeError(message: "the number is too large", position: start)
        }
        guard index == text.count || !text[index].isNameStart else {
            throw ComputeError(message: "a name cannot begin with a digit", position: start)
        }
        return value
    }

    private mutating func string(_ quote: Unicode.Scalar) throws(ComputeError) -> String {
        let start = index
        index += 1
        var result = String.UnicodeScalarView()
        while index < text.count, text[index] != quote {
            if text[index] == "\\" {
                index += 1
                result.append(try escape(start))
            } else {
                result.append(text[index])
            }
            index += 1
        }
        guard index < text.count else { throw ComputeError(message: "the text is not closed", position: start) }
        index += 1
        return String(result)
    }

    private func escape(_ start: Int) throws(ComputeError) -> Unicode.Scalar {
        guard index < text.count else { throw ComputeError(message: "the text is not closed", position: start) }
        switch text[index] {
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "\\", "'", "\"": return text[index]
        default: throw ComputeError(message: "known escapes are \\n, \\t, \\r, \\\\, \\' and \\\"", position: index - 1)
        }
    }
}

extension Unicode.Scalar {
    fileprivate var isDigit: Bool { (48...57).contains(value) }
    fileprivate var isNameStart: Bool { (65...90).contains(value) || (97...122).contains(value) || value == 95 }
}
