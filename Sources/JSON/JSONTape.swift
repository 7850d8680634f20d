/// One value of the text, in order of appearance. An object's member is two entries: the key's, then the value's.
struct JSONTapeEntry: BitwiseCopyable {
    /// First byte of the value.
    var start: UInt32
    /// The byte after the value.
    var end: UInt32
    /// The entry after this value and all that it contains. While a container is open: the container around it.
    var next: UInt32
    /// Bits 0–2 the kind, bit 3 the mark, bits 4–31 the count of elements or members.
    var packed: UInt32

    static let markBit: UInt32 = 8
    static let countUnit: UInt32 = 16
    static let noParent = UInt32.max

    init(kind: JSONNode.Kind, start: Int, end: Int = 0, next: UInt32, mark: Bool = false) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.end = UInt32(truncatingIfNeeded: end)
        self.next = next
        packed = UInt32(kind.rawValue) | (mark ? Self.markBit : 0)
    }

    var kind: JSONNode.Kind { JSONNode.Kind(rawValue: UInt8(truncatingIfNeeded: packed & 7)) ?? .null }
    @inline(__always) var isObject: Bool { packed & 7 == UInt32(JSONNode.Kind.object.rawValue) }
    /// A string that holds an escape; a number written as an integer.
    var isMarked: Bool { packed & Self.markBit != 0 }
    var count: Int { Int(packed >> 4) }
    /// A container whose end was not read yet; nothing ends at the first byte.
    var isOpen: Bool { end == 0 }
    /// The text between a string's quotes.
    var content: Range<Int> { Int(start) + 1..<Int(end) - 1 }
}

/// The text and its tape; nodes share it, so that copying a node counts one reference.
final class JSONTape: Sendable {
    let bytes: [UInt8]
    let entries: ContiguousArray<JSONTapeEntry>

    init(bytes: [UInt8], entries: ContiguousArray<JSONTapeEntry>) {
        self.bytes = bytes
        self.entries = entries
    }
}

enum Byte {
    static let quote = UInt8(ascii: "\"")
    static let backslash = UInt8(ascii: "\\")
    static let newline = UInt8(ascii: "\n")
    static let comma = UInt8(ascii: ",")
    static let colon = UInt8(ascii: ":")
    static let openBrace = UInt8(ascii: "{")
    static let closeBrace = UInt8(ascii: "}")
    static let openBracket = UInt8(ascii: "[")
    static let closeBracket = UInt8(ascii: "]")
    static let minus = UInt8(ascii: "-")
    static let plus = UInt8(ascii: "+")
    static let dot = UInt8(ascii: ".")
    static let zero = UInt8(ascii: "0")
    static let lowerE = UInt8(ascii: "e")
    static let upperE = UInt8(ascii: "E")
    static let lowerU = UInt8(ascii: "u")

    @inline(__always) static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }

    @inline(__always) static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte &- 0x30
        case 0x41...0x46: byte &- 0x37
        case 0x61...0x66: byte &- 0x57
        default: nil
        }
    }
}
