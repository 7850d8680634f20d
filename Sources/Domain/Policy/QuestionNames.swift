/// Two neighbouring bytes of a pattern, which a name that matches has as neighbours too; of a pattern without two, one byte.
struct BytePair: Hashable, Sendable {
    let first: UInt16
    let second: UInt16

    /// No byte: every name has it.
    static let any: UInt16 = 256
    static let none = BytePair(first: any, second: any)

    /// How many bytes it lacks.
    var rank: Int { (first == Self.any ? 1 : 0) + (second == Self.any ? 1 : 0) }

    static func all(of pattern: [UInt8]) -> [BytePair] {
        func isLiteral(_ byte: UInt8) -> Bool { byte != Glob.star && byte != Glob.question }
        return pattern.indices.filter { isLiteral(pattern[$0]) }.map { index in
            let next = index + 1 < pattern.count && isLiteral(pattern[index + 1]) ? UInt16(pattern[index + 1]) : any
            // A single byte may be the name's first: it stands in the second place.
            return next == any
                ? BytePair(first: any, second: UInt16(pattern[index])) : BytePair(first: UInt16(pattern[index]), second: next)
        }
    }
}

/// The names of one question: tool (0), tenant (1) and agent (2).
protocol QuestionNames {
    func count(_ part: Int) -> Int
    /// False: no pattern with this pair matches.
    func have(_ pair: BytePair, _ part: Int) -> Bool
    /// By the meaning of `Glob`.
    func match(_ pattern: UnsafeBufferPointer<UInt8>, _ part: Int) -> Bool
}

/// Names longer than the tables have bits: their pairs in a set that may have others too, and patterns tried one by one.
struct LongNames: QuestionNames {
    private let names: [UnsafeBufferPointer<UInt8>]
    private var pairs: [UInt64]
    private static let words = 64

    init(_ tool: UnsafeBufferPointer<UInt8>, _ tenant: UnsafeBufferPointer<UInt8>, _ agent: UnsafeBufferPointer<UInt8>) {
        names = [tool, tenant, agent]
        pairs = Array(repeating: 0, count: 3 * Self.words)
        for (part, name) in names.enumerated() {
            insert(.none, part)
            var last = BytePair.any
            for byte in name {
                insert(BytePair(first: BytePair.any, second: UInt16(byte)), part)
                if last != BytePair.any { insert(BytePair(first: last, second: UInt16(byte)), part) }
                last = UInt16(byte)
            }
        }
    }

    private static func place(_ pair: BytePair, _ part: Int) -> (word: Int, bit: UInt64) {
        let hash = (Int(pair.first) &* 67 &+ Int(pair.second)) & (words * 64 - 1)
        return (part * words + hash >> 6, 1 << UInt64(hash & 63))
    }

    private mutating func insert(_ pair: BytePair, _ part: Int) {
        let (word, bit) = Self.place(pair, part)
        pairs[word] |= bit
    }

    func have(_ pair: BytePair, _ part: Int) -> Bool {
        let (word, bit) = Self.place(pair, part)
        return pairs[word] & bit != 0
    }

    func count(_ part: Int) -> Int { names[part].count }
    func match(_ pattern: UnsafeBufferPointer<UInt8>, _ part: Int) -> Bool { Glob.search(pattern, names[part]) }
}

/// Names laid out as tables: for each byte the positions at which it stands, a bit each. Where a piece of a pattern (what stands between two
/// stars) can begin is then the intersection of its bytes' positions, each moved by its place in the piece (Baeza-Yates and Gonnet, "A New
/// Approach to Text Searching", 1992), and that is empty after a byte or two for nearly every piece which is not there.
///
/// The names are shorter than a word has bits: the highest bit is no position of any.
struct PositionTables<Word: FixedWidthInteger & UnsignedInteger>: QuestionNames {
    private let tables: UnsafeMutablePointer<Word>
    private let counts: (Int, Int, Int)

    /// One more than there are bytes, for `BytePair.any`.
    private static var size: Int { 257 }

    static func with(
        _ tool: UnsafeBufferPointer<UInt8>, _ tenant: UnsafeBufferPointer<UInt8>, _ agent: UnsafeBufferPointer<UInt8>,
        _ body: (PositionTables) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: Word.self, capacity: 3 * size) { memory in
            guard let tables = memory.baseAddress else { return }
            tables.initialize(repeating: 0, count: 3 * size)
            fill(tables, tool)
            fill(tables + size, tenant)
            fill(tables + 2 * size, agent)
            body(PositionTables(tables: tables, counts: (tool.count, tenant.count, agent.count)))
        }
    }

    private init(tables: UnsafeMutablePointer<Word>, counts: (Int, Int, Int)) {
        self.tables = tables
        self.counts = counts
    }

    private static func fill(_ table: UnsafeMutablePointer<Word>, _ name: UnsafeBufferPointer<UInt8>) {
        var bit: Word = 1
        for byte in name {
            table[Int(byte)] |= bit
            bit &<<= 1
        }
        // In a pattern it stands for any byte, wherever there is one.
        table[Int(Glob.question)] = bit &- 1
        table[Int(BytePair.any)] = .max
    }

    @inline(__always)
    func count(_ part: Int) -> Int { part == 0 ? counts.0 : part == 1 ? counts.1 : counts.2 }

    @inline(__always)
    func have(_ pair: BytePair, _ part: Int) -> Bool {
        let table = tables + part &* Self.size
        // A single byte has nothing before it, and may be the first.
        let isAlone: Word = pair.first == BytePair.any ? 1 : 0
        return (table[Int(pair.first)] &<< 1 | isAlone) & table[Int(pair.second)] != 0
    }

    func match(_ pattern: UnsafeBufferPointer<UInt8>, _ part: Int) -> Bool {
        let table = tables + part &* Self.size
        let count = count(part)
        var index = 0
        // Where the next piece may begin at the earliest; before the first star, where it does begin.
        var position = 0
        var starts: Word = 1
        var isAnchored = true
        while true {
            var length = 0
            while index < pattern.count, pattern[index] != Glob.star {
                // A shift by all the bits of a word would be none. No piece that long has fitted so far.
                starts &= length < Word.bitWidth ? table[Int(pattern[index])] &>> Word(truncatingIfNeeded: length) : 0
                if starts == 0 { return false }
                length &+= 1
                index &+= 1
            }
            if index == pattern.count {
                // What comes last ends at the end; after a star with nothing behind it anything may come.
                if length == 0 { return !isAnchored || count == 0 }
                let start = count &- length
                return start >= position && starts & (1 &<< Word(truncatingIfNeeded: start)) != 0
            }
            if length > 0 { position = starts.trailingZeroBitCount &+ length }
            isAnchored = false
            index &+= 1
            starts = .max &<< Word(truncatingIfNeeded: position)
        }
    }
}
