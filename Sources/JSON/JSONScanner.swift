/// Tokens of the grammar: literals (RFC 8259 §3), numbers (§6), strings (§7) in well-formed UTF-8 (§8.1).
extension JSONParser {
    mutating func scanLiteral(_ literal: StaticString) throws(JSONError) {
        let length = literal.utf8CodeUnitCount
        guard count &- position >= length else { throw expected("'\(literal)'") }
        for index in 0..<length where base[position &+ index] != literal.utf8Start[index] { throw expected("'\(literal)'") }
        position &+= length
    }

    /// True when it is written as an integer.
    mutating func scanNumber() throws(JSONError) -> Bool {
        if base[position] == Byte.minus { position &+= 1 }
        let first = position
        try scanDigits()
        if base[first] == Byte.zero, position &- first > 1 { throw JSONError(.leadingZero, at: first) }
        guard position < count else { return true }
        var isInteger = true
        if base[position] == Byte.dot {
            isInteger = false
            position &+= 1
            try scanDigits()
            guard position < count else { return false }
        }
        if base[position] == Byte.lowerE || base[position] == Byte.upperE {
            isInteger = false
            position &+= 1
            if position < count, base[position] == Byte.plus || base[position] == Byte.minus { position &+= 1 }
            try scanDigits()
        }
        return isInteger
    }

    @inline(__always)
    private mutating func scanDigits() throws(JSONError) {
        let first = position
        while position < count, Byte.isDigit(base[position]) { position &+= 1 }
        if position == first { throw expected("a digit") }
    }

    /// From the opening quote to after the closing one. True when it holds an escape.
    mutating func scanString() throws(JSONError) -> Bool {
        var hasEscape = false
        position &+= 1
        while true {
            position = UTF8Text.plainEnd(base, from: position, to: count)
            guard position < count else { throw expected("'\"' to end the string") }
            let byte = base[position]
            if byte == Byte.quote {
                position &+= 1
                return hasEscape
            }
            if byte == Byte.backslash {
                hasEscape = true
                try scanEscape()
            } else if byte < 0x20 {
                throw JSONError(.controlCharacter(byte), at: position)
            } else {
                repeat {
                    let length = UTF8Text.sequenceLength(base, at: position, end: count)
                    guard length > 0 else { throw JSONError(.invalidUTF8, at: position) }
                    position &+= length
                } while position < count && base[position] >= 0x80
            }
        }
    }

    private mutating func scanEscape() throws(JSONError) {
        let start = position
        guard start &+ 1 < count else { throw JSONError(.invalidEscape, at: start) }
        switch base[start &+ 1] {
        case Byte.quote, Byte.backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"),
            UInt8(ascii: "t"):
            position &+= 2
        case Byte.lowerU:
            guard let unit = UTF8Text.hexUnit(base, at: start &+ 2, end: count) else { throw JSONError(.invalidEscape, at: start) }
            position &+= 6
            guard unit & 0xF800 == 0xD800 else { return }
            guard unit < 0xDC00, position &+ 1 < count, base[position] == Byte.backslash, base[position &+ 1] == Byte.lowerU,
                let low = UTF8Text.hexUnit(base, at: position &+ 2, end: count), low & 0xFC00 == 0xDC00
            else { throw JSONError(.loneSurrogate, at: start) }
            position &+= 6
        default:
            throw JSONError(.invalidEscape, at: start)
        }
    }

    @inline(never)
    func expected(_ what: String) -> JSONError {
        JSONError(.expected(what, found: position < count ? base[position] : nil), at: position)
    }
}
