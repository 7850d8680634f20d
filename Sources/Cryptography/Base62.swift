/// Numbers in the digits 0-9A-Za-z, the most significant first, filled with 0 on the left.
public enum Base62 {
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// The bytes as one big-endian number in exactly `width` digits. A width that cannot hold the number is a mistake of the program:
    /// 22 hold 16 bytes, 43 hold 32.
    public static func encode(_ bytes: [UInt8], width: Int) -> String {
        var number = bytes
        var digits = [UInt8](repeating: alphabet[0], count: width)
        for position in stride(from: width - 1, through: 0, by: -1) {
            var remainder = 0
            for index in number.indices {
                let dividend = remainder << 8 | Int(number[index])
                number[index] = UInt8(truncatingIfNeeded: dividend / 62)
                remainder = dividend % 62
            }
            digits[position] = alphabet[remainder]
        }
        precondition(number.allSatisfy { $0 == 0 }, "\(bytes.count) bytes do not fit in \(width) base 62 digits")
        return String(decoding: digits, as: UTF8.self)
    }

    /// 6 digits hold every value.
    public static func encode(_ value: UInt32, width: Int) -> String {
        encode((0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }, width: width)
    }

    /// Each digit is uniform: bytes from 248 (4 × 62) on are thrown away instead of folded.
    public static func random(count: Int) -> String {
        var digits: [UInt8] = []
        digits.reserveCapacity(count)
        while digits.count < count {
            for byte in SecureRandom.bytes(count - digits.count + 8) where byte < 248 && digits.count < count {
                digits.append(alphabet[Int(byte % 62)])
            }
        }
        return String(decoding: digits, as: UTF8.self)
    }
}
