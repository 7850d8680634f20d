/// One value of a document; cheap to copy, keeps the whole text alive.
public struct JSONNode: Sendable {
    public enum Kind: UInt8, Sendable {
        case null, bool, number, string, array, object
    }

    let tape: JSONTape
    let index: Int

    var entry: JSONTapeEntry { tape.entries[index] }

    public var kind: Kind { entry.kind }
    public var isNull: Bool { entry.kind == .null }

    /// The exact source text of the value, without the space around it.
    public var raw: ArraySlice<UInt8> {
        let entry = entry
        return tape.bytes[Int(entry.start)..<Int(entry.end)]
    }

    public var rawJSON: RawJSON {
        let raw = raw
        return RawJSON(trusted: raw.count == tape.bytes.count ? tape.bytes : Array(raw))
    }

    /// The characters, unescaped; nil when it is not a string.
    public var string: String? {
        let entry = entry
        guard entry.kind == .string else { return nil }
        return characters(of: entry)
    }

    public var bool: Bool? {
        let entry = entry
        return entry.kind == .bool ? entry.isMarked : nil
    }

    /// Only when it is written as an integer that fits: `1e2` and `1.0` are not.
    public var int: Int? {
        let entry = entry
        guard entry.kind == .number, entry.isMarked else { return nil }
        return withBytes(of: entry) { NumberText.integer($0) }
    }

    /// Any number that a finite double can hold, rounded to the nearest one; nil beyond.
    public var double: Double? {
        let entry = entry
        guard entry.kind == .number else { return nil }
        return withBytes(of: entry) { NumberText.double($0, isInteger: entry.isMarked) }
    }

    /// How many elements or members; 0 for anything that is no container.
    public var count: Int { entry.count }

    /// A member of an object; of repeated keys, where they were allowed, the last.
    public subscript(_ key: String) -> JSONNode? {
        let entry = entry
        guard entry.kind == .object, entry.count > 0 else { return nil }
        var key = key
        let found = key.withUTF8 { wanted in
            tape.bytes.withUnsafeBufferPointer { source -> Int? in
                guard let base = source.baseAddress else { return nil }
                var found: Int?
                var position = index + 1
                while position < Int(entry.next) {
                    let value = position + 1
                    if JSONKeyView(base, tape.entries[position]).equals(wanted) { found = value }
                    position = Int(tape.entries[value].next)
                }
                return found
            }
        }
        return found.map { JSONNode(tape: tape, index: $0) }
    }

    /// An element of an array; takes time in proportion to the position: walk `elements` to see them all.
    public subscript(_ position: Int) -> JSONNode? {
        let entry = entry
        guard entry.kind == .array, position >= 0, position < entry.count else { return nil }
        var element = index + 1
        for _ in 0..<position { element = Int(tape.entries[element].next) }
        return JSONNode(tape: tape, index: element)
    }

    func characters(of entry: JSONTapeEntry) -> String {
        tape.bytes.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return "" }
            return JSONKeyView(base, entry).string
        }
    }

    func withBytes<R>(of entry: JSONTapeEntry, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        tape.bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[Int(entry.start)..<Int(entry.end)])) }
    }
}
