import Glibc

/// A key on the tape, compared by its characters: `"a"` and `"\u0061"` are one key.
struct JSONKeyView {
    let base: UnsafePointer<UInt8>
    let content: Range<Int>
    let isEscaped: Bool

    init(_ base: UnsafePointer<UInt8>, _ entry: JSONTapeEntry) {
        self.base = base
        content = entry.content
        isEscaped = entry.isMarked
    }

    /// Lends the characters as UTF-8.
    @inline(__always)
    func withCharacters<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        if !isEscaped { return body(UnsafeBufferPointer(start: base + content.lowerBound, count: content.count)) }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: content.count) { target in
            guard let start = target.baseAddress else { return body(UnsafeBufferPointer(start: nil, count: 0)) }
            return body(UnsafeBufferPointer(start: start, count: UTF8Text.unescape(base, content, into: start)))
        }
    }

    @inline(__always)
    func equals(_ characters: UnsafeBufferPointer<UInt8>) -> Bool {
        if !isEscaped { return Self.same(base + content.lowerBound, content.count, characters) }
        return withCharacters { mine in
            guard let start = mine.baseAddress else { return characters.isEmpty }
            return Self.same(start, mine.count, characters)
        }
    }

    @inline(__always)
    func equals(_ other: JSONKeyView) -> Bool {
        if !isEscaped, !other.isEscaped, content.count != other.content.count { return false }
        return other.withCharacters { equals($0) }
    }

    @inline(__always)
    private static func same(_ start: UnsafePointer<UInt8>, _ count: Int, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard count > 0, let otherStart = other.baseAddress else { return true }
        return memcmp(start, otherStart, count) == 0
    }

    var string: String { withCharacters { String(decoding: $0, as: UTF8.self) } }
}

extension JSONParser {
    /// Up to this many members, in an object of at most so many bytes, pairs are compared; beyond it a table is cheaper.
    private static let mostPairwise = 24
    private static let mostBytesPairwise = 8_192

    func refuseDuplicateKeys(of object: Int) throws(JSONError) {
        let end = entryCount
        let isSmall = position &- Int(entries[object].start) <= Self.mostBytesPairwise
        guard isSmall, entries[object].count <= Self.mostPairwise else { return try refuseDuplicatesByTable(of: object) }
        var first = object &+ 1
        while first < end {
            let key = entries[first]
            var second = Int(entries[first &+ 1].next)
            let after = second
            while second < end {
                let other = entries[second]
                // Plain keys of different lengths, which most pairs are, cost no call.
                if key.end &- key.start == other.end &- other.start || (key.packed | other.packed) & JSONTapeEntry.markBit != 0,
                    JSONKeyView(base, key).equals(JSONKeyView(base, other))
                {
                    throw duplicate(at: second)
                }
                second = Int(entries[second &+ 1].next)
            }
            first = after
        }
    }

    /// Open addressing with Swift's seeded hash: chosen keys cannot make it quadratic.
    private func refuseDuplicatesByTable(of object: Int) throws(JSONError) {
        var capacity = 64
        while capacity < entries[object].count * 2 { capacity *= 2 }
        var slots = [UInt32](repeating: 0, count: capacity)
        var index = object &+ 1
        while index < entryCount {
            let key = JSONKeyView(base, entries[index])
            var hasher = Hasher()
            key.withCharacters { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
            var slot = hasher.finalize() & (capacity &- 1)
            while slots[slot] != 0 {
                if key.equals(JSONKeyView(base, entries[Int(slots[slot])])) { throw duplicate(at: index) }
                slot = (slot &+ 1) & (capacity &- 1)
            }
            // A key's index is never 0: its object stands before it.
            slots[slot] = UInt32(truncatingIfNeeded: index)
            index = Int(entries[index &+ 1].next)
        }
    }

    private func duplicate(at index: Int) -> JSONError {
        JSONError(.duplicateKey(JSONKeyView(base, entries[index]).string), at: Int(entries[index].start))
    }
}
