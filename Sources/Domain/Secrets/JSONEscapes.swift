/// Escapes of JSON strings (RFC 8259 §7) in a text that need not be JSON.
enum JSONEscapes {
    /// The text with each escape replaced by its character, wherever it stands; what is no escape, or half of a pair alone, stays.
    ///
    /// - Parameter isShortened: what may be the beginning of an escape at the end is left out.
    static func resolved(_ bytes: [UInt8], isShortened: Bool) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\") {
                if let (character, length) = escape(at: index, in: bytes) {
                    result.append(contentsOf: String(Character(character)).utf8)
                    index += length
                    continue
                }
                if isShortened, isBeginning(bytes[index...]) { break }
            }
            result.append(bytes[index])
            index += 1
        }
        return result
    }

    /// Whether an escape, or a pair of them, could be cut off within what is left.
    private static func isBeginning(_ rest: ArraySlice<UInt8>) -> Bool {
        let forms = Array(#"\u0000\u0000"#.utf8)
        return rest.count < forms.count
            && zip(rest, forms).allSatisfy { byte, form in
                form == UInt8(ascii: "0") ? Character(Unicode.Scalar(byte)).isHexDigit && byte < 0x80 : byte == form
            }
    }

    private static let single: [UInt8: Unicode.Scalar] = [
        UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/", UInt8(ascii: "b"): "\u{8}",
        UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n", UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
    ]

    private static func escape(at index: Int, in bytes: [UInt8]) -> (Unicode.Scalar, length: Int)? {
        guard index + 1 < bytes.count else { return nil }
        if let scalar = single[bytes[index + 1]] { return (scalar, 2) }
        guard let unit = unit(at: index, in: bytes) else { return nil }
        if let scalar = Unicode.Scalar(unit) { return (scalar, 6) }
        // A pair of surrogates, or nothing.
        guard (0xD800...0xDBFF).contains(unit), let low = self.unit(at: index + 6, in: bytes), (0xDC00...0xDFFF).contains(low) else {
            return nil
        }
        return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)).map { ($0, 12) }
    }

    private static func unit(at index: Int, in bytes: [UInt8]) -> UInt32? {
        guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u") else { return nil }
        var unit: UInt32 = 0
        for byte in bytes[index + 2..<index + 6] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else { return nil }
            unit = unit << 4 | UInt32(digit)
        }
        return unit
    }
}
