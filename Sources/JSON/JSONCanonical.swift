extension JSONNode {
    /// The JSON Canonicalization Scheme (RFC 8785): no space, members sorted by the UTF-16 units of their keys, strings with the
    /// fewest escapes, numbers as ECMAScript writes the nearest double. Refused: numbers beyond a finite double and U+0000.
    public func canonical() throws(JSONError) -> [UInt8] {
        var canonicalizer = JSONCanonicalizer(tape: tape)
        try canonicalizer.write(index)
        return canonicalizer.writer.bytes
    }
}

/// Walks with a stack of its own: the depth of a document is the reader's choice, not the thread's.
private struct JSONCanonicalizer {
    private struct Frame {
        let isObject: Bool
        /// Values of the container; of an object's member the index of its key, in sorted order.
        var pending: ArraySlice<Int>
    }

    let tape: JSONTape
    var writer: JSONWriter
    private var frames: [Frame] = []

    init(tape: JSONTape) {
        self.tape = tape
        writer = JSONWriter(capacity: min(tape.bytes.count, 64 << 10))
    }

    mutating func write(_ root: Int) throws(JSONError) {
        try value(root)
        while !frames.isEmpty {
            let top = frames.count - 1
            guard let next = frames[top].pending.popFirst() else {
                frames[top].isObject ? writer.endObject() : writer.endArray()
                frames.removeLast()
                continue
            }
            if frames[top].isObject {
                writer.key(try characters(next))
                try value(next + 1)
            } else {
                try value(next)
            }
        }
    }

    private mutating func value(_ index: Int) throws(JSONError) {
        let node = JSONNode(tape: tape, index: index)
        switch node.kind {
        case .null: writer.null()
        case .bool: writer.bool(node.bool ?? false)
        case .string: writer.string(try characters(index))
        case .number:
            guard let double = node.double else { throw JSONError(.numberOutOfRange, at: Int(node.entry.start)) }
            writer.double(double)
        case .array:
            writer.beginArray()
            frames.append(Frame(isObject: false, pending: children(of: index, step: 0)[...]))
        case .object:
            writer.beginObject()
            let keys = children(of: index, step: 1).map { (index: $0, text: key($0)) }
            let sorted = keys.sorted { Self.precedes($0.text, $1.text) }
            frames.append(Frame(isObject: true, pending: sorted.map(\.index)[...]))
        }
    }

    /// Elements with step 0; keys, whose value follows them, with step 1.
    private func children(of index: Int, step: Int) -> [Int] {
        var children: [Int] = []
        children.reserveCapacity(tape.entries[index].count)
        let end = Int(tape.entries[index].next)
        var child = index + 1
        while child < end {
            children.append(child)
            child = Int(tape.entries[child + step].next)
        }
        return children
    }

    private func key(_ index: Int) -> [UInt8] {
        tape.bytes.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return [] }
            return JSONKeyView(base, tape.entries[index]).withCharacters { Array($0) }
        }
    }

    private func characters(_ index: Int) throws(JSONError) -> String {
        let node = JSONNode(tape: tape, index: index)
        let text = node.characters(of: node.entry)
        if node.entry.isMarked, text.utf8.contains(0) { throw JSONError(.nullCharacter, at: Int(node.entry.start)) }
        return text
    }

    /// Order of UTF-16 units, told from UTF-8: it differs from byte order only where a surrogate (lead byte F0 and above, units
    /// D800–DFFF) meets U+E000–U+FFFF (lead bytes EE and EF).
    private static func precedes(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        for (one, other) in zip(first, second) where one != other {
            if one >= 0xEE, other >= 0xEE, (one >= 0xF0) != (other >= 0xF0) { return one >= 0xF0 }
            return one < other
        }
        return first.count < second.count
    }
}
