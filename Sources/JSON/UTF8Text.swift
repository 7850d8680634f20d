/// The bytes of string contents. All functions read `base` only in the given bounds.
enum UTF8Text {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// The first byte in `from..<end` that is a quote, a backslash, a control or not ASCII; `end` when there is none.
    /// Eight bytes at a time; a byte below the first hit is never marked falsely (borrows only run upwards).
    @inline(__always)
    static func plainEnd(_ base: UnsafePointer<UInt8>, from: Int, to end: Int) -> Int {
        var position = from
        while end &- position >= 8 {
            let word = UInt64(littleEndian: UnsafeRawPointer(base).loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let quotes = word ^ (ones &* 0x22)
            let slashes = word ^ (ones &* 0x5C)
            let stops =
                ((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes) | ((word &- (ones &* 0x20)) & ~word) | word
            let hits = stops & tops
            if hits != 0 { return position &+ hits.trailingZeroBitCount &>> 3 }
            position &+= 8
        }
        while position < end {
            let byte = base[position]
            if byte == Byte.quote || byte == Byte.backslash || byte < 0x20 || byte >= 0x80 { return position }
            position &+= 1
        }
        return end
    }

    /// Length of the well-formed non-ASCII sequence at `index` (Unicode table 3-7); 0 when it is ill-formed.
    static func sequenceLength(_ base: UnsafePointer<UInt8>, at index: Int, end: Int) -> Int {
        let available = end &- index
        guard available >= 2 else { return 0 }
        let second = base[index &+ 1]
        switch base[index] {
        case 0xC2...0xDF:
            return isContinuation(second) ? 2 : 0
        case let lead where lead & 0xF0 == 0xE0:
            let floor: UInt8 = lead == 0xE0 ? 0xA0 : 0x80
            let ceiling: UInt8 = lead == 0xED ? 0x9F : 0xBF
            guard available >= 3, second >= floor, second <= ceiling, isContinuation(base[index &+ 2]) else { return 0 }
            return 3
        case let lead where lead >= 0xF0 && lead <= 0xF4:
            let floor: UInt8 = lead == 0xF0 ? 0x90 : 0x80
            let ceiling: UInt8 = lead == 0xF4 ? 0x8F : 0xBF
            guard available >= 4, second >= floor, second <= ceiling, isContinuation(base[index &+ 2]),
                isContinuation(base[index &+ 3])
            else { return 0 }
            return 4
        default:
            return 0
        }
    }

    @inline(__always)
    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    /// The four hex digits of a `\u` escape.
    static func hexUnit(_ base: UnsafePointer<UInt8>, at index: Int, end: Int) -> UInt32? {
        guard end &- index >= 4 else { return nil }
        var unit: UInt32 = 0
        for offset in 0..<4 {
            guard let digit = Byte.hexValue(base[index &+ offset]) else { return nil }
            unit = unit &<< 4 | UInt32(digit)
        }
        return unit
    }

    /// Writes the characters of validated string contents; `target` must hold as many bytes as the contents have (an escape is
    /// never shorter than its character). Returns how many were written.
    static func unescape(_ base: UnsafePointer<UInt8>, _ content: Range<Int>, into target: UnsafeMutablePointer<UInt8>) -> Int {
        var position = content.lowerBound
        var written = 0
        while position < content.upperBound {
            let byte = base[position]
            guard byte == Byte.backslash, position &+ 1 < content.upperBound else {
                target[written] = byte
                written &+= 1
                position &+= 1
                continue
            }
            let letter = base[position &+ 1]
            position &+= 2
            guard letter == Byte.lowerU else {
                target[written] = plainEscape(letter)
                written &+= 1
                continue
            }
            var scalar = hexUnit(base, at: position, end: content.upperBound) ?? 0xFFFD
            position &+= 4
            if scalar & 0xFC00 == 0xD800, let low = hexUnit(base, at: position &+ 2, end: content.upperBound) {
                scalar = 0x10000 &+ (scalar & 0x3FF) &<< 10 &+ (low & 0x3FF)
                position &+= 6
            }
            written &+= encode(scalar, into: target + written)
        }
        return written
    }

    private static func plainEscape(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "r"): 0x0D
        default: letter
        }
    }

    private static func encode(_ scalar: UInt32, into target: UnsafeMutablePointer<UInt8>) -> Int {
        func tail(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: scalar &>> shift & 0x3F) }
        if scalar < 0x80 {
            target[0] = UInt8(truncatingIfNeeded: scalar)
            return 1
        }
        if scalar < 0x800 {
            target[0] = 0xC0 | UInt8(truncatingIfNeeded: scalar &>> 6)
            target[1] = tail(0)
            return 2
        }
        if scalar < 0x10000 {
            target[0] = 0xE0 | UInt8(truncatingIfNeeded: scalar &>> 12)
            target[1] = tail(6)
            target[2] = tail(0)
            return 3
        }
        target[0] = 0xF0 | UInt8(truncatingIfNeeded: scalar &>> 18)
        target[1] = tail(12)
        target[2] = tail(6)
        target[3] = tail(0)
        return 4
    }
}
