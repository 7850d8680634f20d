/// Numbers to and from text. Reading takes text that the parser has accepted.
enum NumberText {
    /// Powers of ten that a double holds exactly.
    private static let exactPowers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21,
        1e22,
    ]

    static func integer(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
        let isNegative = text.first == Byte.minus
        var value = 0
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            // Counts downwards, so that Int.min fits.
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowToo) = shifted.subtractingReportingOverflow(Int(byte &- Byte.zero))
            if overflow || overflowToo { return nil }
            value = sum
        }
        if isNegative { return value }
        return value == Int.min ? nil : -value
    }

    /// Nil when it is beyond a finite double.
    static func double(_ text: UnsafeBufferPointer<UInt8>, isInteger: Bool) -> Double? {
        if let exact = exactDouble(text) { return exact }
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    /// At most 15 significant digits and a power of ten up to 22 either way: both exact, so one operation rounds correctly.
    private static func exactDouble(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        var position = text.first == Byte.minus ? 1 : 0
        let isNegative = position == 1
        var digits: Int64 = 0
        var digitCount = 0
        var exponent = 0
        var isFraction = false
        while position < text.count {
            let byte = text[position]
            if byte == Byte.dot {
                isFraction = true
            } else if Byte.isDigit(byte) {
                digitCount += 1
                guard digitCount <= 15 else { return nil }
                digits = digits * 10 + Int64(byte &- Byte.zero)
                if isFraction { exponent -= 1 }
            } else {
                return nil
            }
            position += 1
        }
        guard exponent >= -22 else { return nil }
        let magnitude = exponent == 0 ? Double(digits) : Double(digits) / exactPowers[-exponent]
        return isNegative ? -magnitude : magnitude
    }

    static func append(_ value: Int64, into bytes: inout [UInt8]) {
        if value < 0 { bytes.append(Byte.minus) }
        append(value.magnitude, into: &bytes)
    }

    static func append(_ value: UInt64, into bytes: inout [UInt8]) {
        if value < 10 { return bytes.append(Byte.zero &+ UInt8(truncatingIfNeeded: value)) }
        let end = bytes.count
        var rest = value
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = 20
            while rest > 0 {
                first -= 1
                digits[first] = Byte.zero &+ UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            bytes.append(contentsOf: digits[first...])
        }
        assert(bytes.count > end)
    }

    /// ECMAScript's Number::toString (ECMA-262 §6.1.6.1.20), which RFC 8785 §3.2.2.3 prescribes. The value must be finite.
    static func appendShortest(_ value: Double, into bytes: inout [UInt8]) {
        if value.magnitude < 0x1p53, value == value.rounded(.towardZero) { return append(Int64(value), into: &bytes) }
        if value < 0 { bytes.append(Byte.minus) }
        let (digits, point) = shortestDigits(of: value.magnitude)
        let count = digits.count
        if point > 0, point <= 21 {
            bytes.append(contentsOf: digits.prefix(point))
            if count <= point {
                bytes.append(contentsOf: repeatElement(Byte.zero, count: point - count))
            } else {
                bytes.append(Byte.dot)
                bytes.append(contentsOf: digits.dropFirst(point))
            }
        } else if point > -6, point <= 0 {
            bytes.append(Byte.zero)
            bytes.append(Byte.dot)
            bytes.append(contentsOf: repeatElement(Byte.zero, count: -point))
            bytes.append(contentsOf: digits)
        } else {
            bytes.append(digits[0])
            if count > 1 {
                bytes.append(Byte.dot)
                bytes.append(contentsOf: digits.dropFirst())
            }
            bytes.append(Byte.lowerE)
            if point > 0 { bytes.append(Byte.plus) }
            append(Int64(point - 1), into: &bytes)
        }
    }

    /// The fewest digits that read back as `value` (> 0), and where the point stands: value = 0.digits × 10^point.
    /// Swift prints the shortest digits too; only the layout differs.
    private static func shortestDigits(of value: Double) -> (digits: [UInt8], point: Int) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        var text = value.description.utf8[...]
        while let byte = text.popFirst() {
            if Byte.isDigit(byte) {
                digits.append(byte)
            } else if byte == Byte.dot {
                point = digits.count
            } else if byte == Byte.lowerE || byte == Byte.upperE {
                exponent = Int(String(Substring(text))) ?? 0
                break
            }
        }
        var position = (point ?? digits.count) + exponent
        let leading = digits.prefix { $0 == Byte.zero }.count
        digits.removeFirst(leading)
        position -= leading
        while digits.count > 1, digits.last == Byte.zero { digits.removeLast() }
        return (digits, position)
    }
}
