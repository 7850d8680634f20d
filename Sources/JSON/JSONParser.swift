/// Structure of the grammar (RFC 8259 §2): one loop, no recursion; the open containers are chained on the tape itself.
/// It lives only inside the closure that lends it the bytes.
struct JSONParser {
    let base: UnsafePointer<UInt8>
    let count: Int
    let limits: JSONLimits
    var position = 0
    private var depth = 0
    /// The tape under construction: on the stack at first, moved to the heap when it outgrows that.
    private(set) var entries: UnsafeMutablePointer<JSONTapeEntry>
    private(set) var entryCount = 0
    private var capacity: Int
    private var isOnHeap = false

    /// 1 KiB of stack holds the tape of a typical event, whose validation then allocates nothing.
    private static let entriesOnStack = 64

    /// Lends the finished tape to `body`.
    static func parse<R>(
        _ bytes: [UInt8], limits: JSONLimits, _ body: (UnsafeBufferPointer<JSONTapeEntry>) -> R
    ) throws(JSONError) -> R {
        let limit = min(limits.maxBytes, JSONLimits.largestDocument)
        guard bytes.count <= limit else { throw JSONError(.tooLarge(limit: limit), at: max(0, limit)) }
        let result = bytes.withUnsafeBufferPointer { buffer in
            withUnsafeTemporaryAllocation(of: JSONTapeEntry.self, capacity: entriesOnStack) { space -> Result<R, JSONError> in
                guard let base = buffer.baseAddress, let entries = space.baseAddress, buffer.count > 0 else {
                    return .failure(JSONError(.expected("a value", found: nil), at: 0))
                }
                var parser = JSONParser(base: base, count: buffer.count, limits: limits, entries: entries)
                defer { if parser.isOnHeap { parser.entries.deallocate() } }
                do throws(JSONError) {
                    try parser.run()
                    return .success(body(UnsafeBufferPointer(start: parser.entries, count: parser.entryCount)))
                } catch {
                    return .failure(JSONError(error.reason, at: error.offset, in: parser.pointer(of: error)))
                }
            }
        }
        return try result.get()
    }

    private init(base: UnsafePointer<UInt8>, count: Int, limits: JSONLimits, entries: UnsafeMutablePointer<JSONTapeEntry>) {
        self.base = base
        self.count = count
        self.limits = limits
        self.entries = entries
        capacity = Self.entriesOnStack
    }

    private mutating func run() throws(JSONError) {
        if count >= 3, base[0] == 0xEF, base[1] == 0xBB, base[2] == 0xBF { throw JSONError(.byteOrderMark, at: 0) }
        var parent = JSONTapeEntry.noParent
        skipSpace()
        repeat {
            try value(in: &parent)
        } while try proceeds(in: &parent)
        skipSpace()
        if position < count { throw expected("the end of the text") }
    }

    /// Reads one value; a container that has contents is only opened: `parent` becomes it, and the next value is its first.
    @inline(__always)
    private mutating func value(in parent: inout UInt32) throws(JSONError) {
        while true {
            guard position < count else { throw expected("a value") }
            let start = position
            switch base[start] {
            case Byte.quote:
                let escaped = try scanString()
                append(.string, from: start, mark: escaped)
                return
            case Byte.minus, 0x30...0x39:
                let isInteger = try scanNumber()
                append(.number, from: start, mark: isInteger)
                return
            case Byte.openBrace:
                try open(.object, in: &parent)
                if position < count, base[position] == Byte.closeBrace { return }
                try key(of: parent, mayEnd: true)
            case Byte.openBracket:
                try open(.array, in: &parent)
                if position < count, base[position] == Byte.closeBracket { return }
                guard position < count else { throw expected("a value or ']'") }
                entries[Int(parent)].packed &+= JSONTapeEntry.countUnit
            case UInt8(ascii: "t"):
                try scanLiteral("true")
                append(.bool, from: start, mark: true)
                return
            case UInt8(ascii: "f"):
                try scanLiteral("false")
                append(.bool, from: start, mark: false)
                return
            case UInt8(ascii: "n"):
                try scanLiteral("null")
                append(.null, from: start, mark: false)
                return
            default:
                throw expected("a value")
            }
        }
    }

    /// After a value: closes what ends here. True when another value must follow, false when the outermost value is complete.
    @inline(__always)
    private mutating func proceeds(in parent: inout UInt32) throws(JSONError) -> Bool {
        while parent != JSONTapeEntry.noParent {
            skipSpace()
            let isObject = entries[Int(parent)].isObject
            guard position < count else { throw expected(isObject ? "',' or '}'" : "',' or ']'") }
            switch base[position] {
            case Byte.comma:
                position &+= 1
                skipSpace()
                if isObject {
                    try key(of: parent, mayEnd: false)
                } else {
                    entries[Int(parent)].packed &+= JSONTapeEntry.countUnit
                }
                return true
            case isObject ? Byte.closeBrace : Byte.closeBracket:
                position &+= 1
                try close(&parent, isObject: isObject)
            default:
                throw expected(isObject ? "',' or '}'" : "',' or ']'")
            }
        }
        return false
    }

    private mutating func open(_ kind: JSONNode.Kind, in parent: inout UInt32) throws(JSONError) {
        depth &+= 1
        guard depth <= limits.maxDepth else { throw JSONError(.tooDeep(limit: limits.maxDepth), at: position) }
        let index = UInt32(truncatingIfNeeded: entryCount)
        push(JSONTapeEntry(kind: kind, start: position, next: parent))
        parent = index
        position &+= 1
        skipSpace()
    }

    private mutating func close(_ parent: inout UInt32, isObject: Bool) throws(JSONError) {
        depth &-= 1
        let index = Int(parent)
        // While it is open, so that a refusal is found in it.
        if isObject, limits.rejectsDuplicateKeys, entries[index].count > 1 { try refuseDuplicateKeys(of: index) }
        parent = entries[index].next
        entries[index].next = UInt32(truncatingIfNeeded: entryCount)
        entries[index].end = UInt32(truncatingIfNeeded: position)
    }

    private mutating func key(of parent: UInt32, mayEnd: Bool) throws(JSONError) {
        let start = position
        guard start < count, base[start] == Byte.quote else { throw expected("a string as key" + (mayEnd ? " or '}'" : "")) }
        let escaped = try scanString()
        append(.string, from: start, mark: escaped)
        entries[Int(parent)].packed &+= JSONTapeEntry.countUnit
        skipSpace()
        guard position < count, base[position] == Byte.colon else { throw expected("':'") }
        position &+= 1
        skipSpace()
    }

    @inline(__always)
    private mutating func append(_ kind: JSONNode.Kind, from start: Int, mark: Bool) {
        let next = UInt32(truncatingIfNeeded: entryCount &+ 1)
        push(JSONTapeEntry(kind: kind, start: start, end: position, next: next, mark: mark))
    }

    @inline(__always)
    private mutating func push(_ entry: JSONTapeEntry) {
        if entryCount == capacity { grow() }
        entries[entryCount] = entry
        entryCount &+= 1
    }

    @inline(never)
    private mutating func grow() {
        // From a stack's worth straight to what the text so far lets expect, then by doubling.
        let expected = isOnHeap ? 0 : min(count / 8, 4_096)
        capacity = max(capacity * 2, expected)
        let larger = UnsafeMutablePointer<JSONTapeEntry>.allocate(capacity: capacity)
        larger.initialize(from: entries, count: entryCount)
        if isOnHeap { entries.deallocate() }
        entries = larger
        isOnHeap = true
    }

    @inline(__always)
    mutating func skipSpace() {
        // Most bytes are no space: one comparison sees that.
        while position < count, base[position] <= 0x20 {
            switch base[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position &+= 1
            default: return
            }
        }
    }
}
