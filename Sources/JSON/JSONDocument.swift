/// A text parsed strictly (RFC 8259) in one pass into a tape over its bytes; nothing is copied until asked for.
public struct JSONDocument: Sendable {
    let tape: JSONTape

    public init(parsing bytes: [UInt8], limits: JSONLimits = .default) throws(JSONError) {
        tape = JSONTape(bytes: bytes, entries: try JSONParser.parse(bytes, limits: limits) { ContiguousArray($0) })
    }

    /// The outermost value.
    public var root: JSONNode { JSONNode(tape: tape, index: 0) }
    public var bytes: [UInt8] { tape.bytes }
}
