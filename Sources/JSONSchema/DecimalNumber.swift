import JSON

/// A JSON number without rounding: sign, digits without zeros at either end, and a power of ten. Zero has no digits.
struct DecimalNumber: Sendable, Equatable, CustomStringConvertible {
    private let isNegative: Bool
    private let digits: [UInt8]
    /// value = 0.digits × 10^point
    private let point: Int

    /// nil for what is no number, and for exponents that nobody means.
    init?(_ node: JSONNode) {
        guard node.kind == .number else { return nil }
        self.init(text: node.raw)
    }

    private init?(text: ArraySlice<UInt8>) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        var isNegative = false
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "-"): isNegative = true
            case UInt8(ascii: "."): point = digits.count
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                guard let value = Int(String(decoding: rest, as: UTF8.self)), (-999_999...999_999).contains(value) else { return nil }
                exponent = value
                rest = []
            default: digits.append(byte &- UInt8(ascii: "0"))
            }
        }
        var position = (point ?? digits.count) + exponent
        let leading = digits.prefix { $0 == 0 }.count
        digits.removeFirst(leading)
        position -= leading
        while digits.last == 0 { digits.removeLast() }
        self.digits = digits
        self.point = digits.isEmpty ? 0 : position
        self.isNegative = isNegative && !digits.isEmpty
    }

    var description: String {
        let text = digits.map(String.init).joined()
        let sign = isNegative ? "-" : ""
        switch point {
        case _ where digits.isEmpty: return "0"
        case digits.count...21: return sign + text + String(repeating: "0", count: point - digits.count)
        case 1..<max(digits.count, 1): return sign + text.prefix(point) + "." + text.dropFirst(point)
        case -5...0: return sign + "0." + String(repeating: "0", count: -point) + text
        default: return sign + "0." + text + "e\(point)"
        }
    }

    /// Equal for equal numbers.
    func append(to bytes: inout [UInt8]) {
        bytes.append(isNegative ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        bytes.append(contentsOf: digits)
        bytes.append(UInt8(ascii: "e"))
        bytes.append(contentsOf: String(point).utf8)
    }

    var isInteger: Bool { digits.count <= point || digits.isEmpty }
    var isPositive: Bool { !isNegative && !digits.isEmpty }
    var isNonNegative: Bool { !isNegative }

    /// The value of a small whole number, as bounds of lengths are.
    var int: Int? {
        guard isInteger, point <= 18 else { return nil }
        var value = 0
        for index in 0..<max(point, 0) { value = value * 10 + (index < digits.count ? Int(digits[index]) : 0) }
        return isNegative ? -value : value
    }

    static func < (left: DecimalNumber, right: DecimalNumber) -> Bool {
        if left.isNegative != right.isNegative { return left.isNegative }
        let isLess = left.magnitudeIsLess(than: right)
        return left.isNegative ? right.magnitudeIsLess(than: left) : isLess
    }

    private func magnitudeIsLess(than other: DecimalNumber) -> Bool {
        if digits.isEmpty || other.digits.isEmpty { return digits.isEmpty && !other.digits.isEmpty }
        if point != other.point { return point < other.point }
        return digits.lexicographicallyPrecedes(other.digits)
    }

    /// Exact while the divisor has at most 18 digits; beyond that nothing is a multiple but zero and the number itself.
    func isMultiple(of divisor: DecimalNumber) -> Bool {
        if digits.isEmpty { return true }
        guard divisor.digits.count <= 18 else { return digits == divisor.digits && point == divisor.point }
        let modulus = divisor.digits.reduce(UInt64(0)) { $0 * 10 + UInt64($1) }
        // self / divisor = (digits / divisor.digits) × 10^shift; both are whole numbers without zeros at their end.
        let shift = (point - digits.count) - (divisor.point - divisor.digits.count)
        guard shift >= 0 else { return false }
        var remainder = digits.reduce(UInt64(0)) { Self.multiply($0, 10, modulus, adding: UInt64($1)) }
        var (base, power) = (10 % modulus, shift)
        while power > 0 {
            if power & 1 == 1 { remainder = Self.multiply(remainder, base, modulus) }
            base = Self.multiply(base, base, modulus)
            power >>= 1
        }
        return remainder == 0
    }

    private static func multiply(_ left: UInt64, _ right: UInt64, _ modulus: UInt64, adding more: UInt64 = 0) -> UInt64 {
        let (high, low) = left.multipliedFullWidth(by: right)
        let (sum, carry) = low.addingReportingOverflow(more)
        return modulus.dividingFullWidth(((high + (carry ? 1 : 0)) % modulus, sum)).remainder
    }
}
