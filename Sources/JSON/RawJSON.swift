/// Validated JSON text kept byte for byte. Two are equal when their bytes are; compare `canonical()` for equal values.
public struct RawJSON: Sendable, Hashable, CustomStringConvertible {
    public let bytes: [UInt8]

    public init(validating bytes: [UInt8], limits: JSONLimits = .default) throws(JSONError) {
        try JSONParser.parse(bytes, limits: limits) { _ in }
        self.bytes = bytes
    }

    /// The caller vouches that the bytes are one JSON value.
    public init(trusted bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// For literals in the source, which a test has seen.
    public init(_ text: StaticString) {
        bytes = text.withUTF8Buffer { Array($0) }
    }

    /// Writes the braces around what `build` writes.
    public static func object(_ build: (inout JSONWriter) throws -> Void) rethrows -> RawJSON {
        var writer = JSONWriter()
        writer.beginObject()
        try build(&writer)
        writer.endObject()
        return RawJSON(trusted: writer.bytes)
    }

    /// Writes the brackets around what `build` writes.
    public static func array(_ build: (inout JSONWriter) throws -> Void) rethrows -> RawJSON {
        var writer = JSONWriter()
        writer.beginArray()
        try build(&writer)
        writer.endArray()
        return RawJSON(trusted: writer.bytes)
    }

    public static let null = RawJSON("null")
    public static let emptyObject = RawJSON("{}")

    public var string: String { String(decoding: bytes, as: UTF8.self) }
    public var description: String { string }

    public func document() throws(JSONError) -> JSONDocument { try document(limits: .default) }

    /// For text that was validated with other limits than the default ones.
    public func document(limits: JSONLimits) throws(JSONError) -> JSONDocument { try JSONDocument(parsing: bytes, limits: limits) }
}
