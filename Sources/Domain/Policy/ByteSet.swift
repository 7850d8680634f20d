/// Which bytes a text has, those from 128 on as one with those 128 below: a text that lacks one of a pattern's cannot match it, which one
/// comparison tells.
struct ByteSet: Sendable, Hashable {
    private var bits: UInt128 = 0

    init() {}

    init(of text: String) {
        for byte in text.utf8 { insert(byte) }
    }

    mutating func insert(_ byte: UInt8) { bits |= 1 << UInt128(byte & 127) }
    mutating func formIntersection(_ other: ByteSet) { bits &= other.bits }
    func isSubset(of other: ByteSet) -> Bool { bits & ~other.bits == 0 }
}
