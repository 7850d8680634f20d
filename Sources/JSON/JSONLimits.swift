/// What a text may cost before it is refused.
public struct JSONLimits: Sendable, Equatable {
    /// Nested arrays and objects, counted from 1 for the outermost.
    public var maxDepth: Int
    /// Bytes of the whole text. More than `largestDocument` is never accepted, whatever is asked for.
    public var maxBytes: Int
    /// RFC 8259 §4 leaves repeated names to the reader; two readers that disagree are a security hole, so they are refused.
    public var rejectsDuplicateKeys: Bool

    /// Offsets are 32 bits and counts 28 bits wide on the tape.
    public static let largestDocument = 1 << 28

    public init(maxDepth: Int = 64, maxBytes: Int = 16 << 20, rejectsDuplicateKeys: Bool = true) {
        self.maxDepth = maxDepth
        self.maxBytes = maxBytes
        self.rejectsDuplicateKeys = rejectsDuplicateKeys
    }

    public static let `default` = JSONLimits()
}
