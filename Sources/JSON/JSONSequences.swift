extension JSONNode {
    /// The elements in order; empty when it is no array.
    public var elements: JSONElements { JSONElements(node: self) }
    /// The members in order of appearance; empty when it is no object.
    public var members: JSONMembers { JSONMembers(node: self) }
}

public struct JSONElements: Sequence, Sendable {
    let node: JSONNode

    public var underestimatedCount: Int { node.kind == .array ? node.count : 0 }

    public func makeIterator() -> Iterator {
        let entry = node.entry
        return Iterator(tape: node.tape, position: node.index + 1, end: entry.kind == .array ? Int(entry.next) : 0)
    }

    public struct Iterator: IteratorProtocol, Sendable {
        let tape: JSONTape
        var position: Int
        let end: Int

        public mutating func next() -> JSONNode? {
            guard position < end else { return nil }
            defer { position = Int(tape.entries[position].next) }
            return JSONNode(tape: tape, index: position)
        }
    }
}

public struct JSONMembers: Sequence, Sendable {
    let node: JSONNode

    public var underestimatedCount: Int { node.kind == .object ? node.count : 0 }

    public func makeIterator() -> Iterator {
        let entry = node.entry
        return Iterator(tape: node.tape, position: node.index + 1, end: entry.kind == .object ? Int(entry.next) : 0)
    }

    public struct Iterator: IteratorProtocol, Sendable {
        let tape: JSONTape
        var position: Int
        let end: Int

        public mutating func next() -> (key: String, value: JSONNode)? {
            guard position < end else { return nil }
            let key = JSONNode(tape: tape, index: position)
            let value = JSONNode(tape: tape, index: position + 1)
            position = Int(tape.entries[position + 1].next)
            return (key.characters(of: key.entry), value)
        }
    }
}
