/// A string that equals another when its UTF-8 does. `String` compares by canonical equivalence, under which names that JSON, patterns and
/// Postgres tell apart are one: U+212A (the Kelvin sign) and the letter K, or both forms of é.
public struct ExactString: Hashable, Sendable {
    public let text: String

    public init(_ text: String) { self.text = text }

    public static func == (left: ExactString, right: ExactString) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    public func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(text.utf8.count)
    }
}
