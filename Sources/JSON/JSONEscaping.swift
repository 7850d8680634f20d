extension JSONWriter {
    /// Appends the string with its quotes; escapes only what RFC 8259 §7 demands.
    public static func appendEscaped(_ value: String, into bytes: inout [UInt8]) {
        var value = value
        value.withUTF8 { appendEscaped($0, into: &bytes) }
    }

    static func appendEscaped(_ text: UnsafeBufferPointer<UInt8>, into bytes: inout [UInt8]) {
        bytes.append(Byte.quote)
        if let base = text.baseAddress { appendContents(base, text.count, into: &bytes) }
        bytes.append(Byte.quote)
    }

    private static func appendContents(_ base: UnsafePointer<UInt8>, _ count: Int, into bytes: inout [UInt8]) {
        var copied = 0
        var position = 0
        while true {
            position = UTF8Text.plainEnd(base, from: position, to: count)
            while position < count, base[position] >= 0x80 { position &+= 1 }
            if position < count, base[position] >= 0x20, base[position] != Byte.quote, base[position] != Byte.backslash { continue }
            bytes.append(contentsOf: UnsafeBufferPointer(start: base + copied, count: position &- copied))
            guard position < count else { return }
            appendEscape(base[position], into: &bytes)
            position &+= 1
            copied = position
        }
    }

    /// Bytes that a string's JSON has for this one of its own.
    public static func escapedCount(of byte: UInt8) -> Int {
        switch byte {
        case Byte.quote, Byte.backslash, 0x08, 0x09, 0x0A, 0x0C, 0x0D: 2
        case ..<0x20: 6
        default: 1
        }
    }

    private static func appendEscape(_ byte: UInt8, into bytes: inout [UInt8]) {
        bytes.append(Byte.backslash)
        switch byte {
        case Byte.quote, Byte.backslash: bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            let low = byte & 0x0F
            bytes.append(contentsOf: [Byte.lowerU, Byte.zero, Byte.zero, Byte.zero &+ byte &>> 4])
            bytes.append(low < 10 ? Byte.zero &+ low : UInt8(ascii: "a") &+ low &- 10)
        }
    }
}
