extension RawJSON {
    /// The same text without the space between its tokens; everything else stays byte for byte.
    public func compacted() -> RawJSON {
        guard let first = Self.firstInsignificantByte(of: bytes) else { return self }
        var compact: [UInt8] = []
        compact.reserveCapacity(bytes.count)
        compact.append(contentsOf: bytes[..<first])
        Self.walk(bytes, from: first) { byte, isInsignificant in
            if !isInsignificant { compact.append(byte) }
            return true
        }
        return RawJSON(trusted: compact)
    }

    private static func firstInsignificantByte(of bytes: [UInt8]) -> Int? {
        var position = 0
        var found: Int?
        walk(bytes, from: 0) { _, isInsignificant in
            if isInsignificant { found = position }
            position += 1
            return !isInsignificant
        }
        return found
    }

    /// `start` lies outside of any string. `visit` returns whether to go on.
    private static func walk(_ bytes: [UInt8], from start: Int, _ visit: (UInt8, Bool) -> Bool) {
        var isInString = false
        var isEscaped = false
        for byte in bytes[start...] {
            let isSpace = byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
            guard visit(byte, isSpace && !isInString) else { return }
            if isEscaped {
                isEscaped = false
            } else if isInString, byte == Byte.backslash {
                isEscaped = true
            } else if byte == Byte.quote {
                isInString.toggle()
            }
        }
    }
}
