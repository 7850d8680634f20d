/// RFC 4648 §4, padded. Decoding is strict: one text for each sequence of bytes.
public enum Base64 {
    private static let alphabet = Base64Alphabet("+", "/")

    public static func encode(_ bytes: [UInt8]) -> String { alphabet.encode(bytes, padded: true) }
    public static func decode(_ text: String) -> [UInt8]? {
        var content = Array(text.utf8)
        guard content.count % 4 == 0 else { return nil }
        for _ in 0..<2 where content.last == UInt8(ascii: "=") { content.removeLast() }
        return alphabet.decode(content)
    }
}

/// RFC 4648 §5 without padding. Decoding is strict: no padding, no space, no stray bits.
public enum Base64URL {
    private static let alphabet = Base64Alphabet("-", "_")

    public static func encode(_ bytes: [UInt8]) -> String { alphabet.encode(bytes, padded: false) }
    public static func decode(_ text: String) -> [UInt8]? { alphabet.decode(Array(text.utf8)) }
}

private struct Base64Alphabet {
    private let letters: [UInt8]
    /// Value of each byte; 255 for those outside the alphabet.
    private let values: [UInt8]

    init(_ letter62: Character, _ letter63: Character) {
        letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\(letter62)\(letter63)".utf8)
        var values = [UInt8](repeating: 255, count: 256)
        for (value, letter) in letters.enumerated() { values[Int(letter)] = UInt8(value) }
        self.values = values
    }

    func encode(_ bytes: [UInt8], padded: Bool) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var position = 0
        while position < bytes.count {
            let taken = min(3, bytes.count - position)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | (offset < taken ? UInt32(bytes[position + offset]) : 0) }
            for offset in 0..<4 {
                if offset <= taken {
                    text.append(letters[Int(group >> UInt32(18 - 6 * offset) & 63)])
                } else if padded {
                    text.append(UInt8(ascii: "="))
                }
            }
            position += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3 + 2)
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for letter in text {
            let value = values[Int(letter)]
            guard value != 255 else { return nil }
            bits = (bits << 6 | UInt32(value)) & 0xFFFF
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        guard bits & ((1 << bitCount) - 1) == 0 else { return nil }
        return bytes
    }
}
