/// Why a text is no acceptable JSON, and at which byte.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: Sendable, Equatable {
        /// `found` is nil when the text ended there.
        case expected(String, found: UInt8?)
        case byteOrderMark
        case invalidUTF8
        case controlCharacter(UInt8)
        case invalidEscape
        case loneSurrogate
        case leadingZero
        case duplicateKey(String)
        case tooDeep(limit: Int)
        case tooLarge(limit: Int)
        /// RFC 8785 only: the number is beyond a finite double.
        case numberOutOfRange
        /// RFC 8785 only: the string holds U+0000.
        case nullCharacter
    }

    public let reason: Reason
    /// Counted from 0.
    public let offset: Int
    /// RFC 6901: the innermost value that was being read; of a repeated key the member, of a text too deep the container that is too much.
    /// Empty for the whole text. Of a long way, as much of it as `maxPointerBytes` holds.
    public let pointer: String

    /// Bytes of `pointer`: its keys are the sender's.
    public static let maxPointerBytes = 1024

    public init(_ reason: Reason, at offset: Int, in pointer: String = "") {
        self.reason = reason
        self.offset = offset
        self.pointer = pointer
    }

    public var description: String { "\(reason) at byte \(offset)" }

    /// The same, told of the place that it is about.
    public var violation: JSONViolation {
        let message =
            switch reason {
            case .duplicateKey: "is there twice in one object, again at byte \(offset)"
            case .tooDeep(let limit): "is nested deeper than \(limit) levels, at byte \(offset)"
            default: "is not valid JSON: \(self)"
            }
        return JSONViolation(pointer: pointer, message: message)
    }

    /// Line and column, both counted from 1, the column in bytes. `bytes` is the text that was refused.
    public func position(in bytes: [UInt8]) -> (line: Int, column: Int) {
        var line = 1
        var lineStart = 0
        let end = min(offset, bytes.count)
        for index in 0..<end where bytes[index] == Byte.newline {
            line += 1
            lineStart = index + 1
        }
        return (line, end - lineStart + 1)
    }
}

extension JSONError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .expected(let expected, nil): "expected \(expected), found the end of the text"
        case .expected(let expected, let byte?): "expected \(expected), found \(Self.name(of: byte))"
        case .byteOrderMark: "a byte order mark is not allowed"
        case .invalidUTF8: "invalid UTF-8"
        case .controlCharacter(let byte): "a control character must be escaped in a string, found \(Self.name(of: byte))"
        case .invalidEscape: "invalid escape; allowed are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hex digits"
        case .loneSurrogate: "a \\u surrogate without its other half"
        case .leadingZero: "a number must not start with a superfluous 0"
        case .duplicateKey(let key): "the key \"\(String(key.unicodeScalars.prefix(64)))\" appears twice in one object"
        case .tooDeep(let limit): "nested deeper than \(limit) levels"
        case .tooLarge(let limit): "larger than \(limit) bytes"
        case .numberOutOfRange: "the number is beyond the range of a double"
        case .nullCharacter: "the string holds the character U+0000"
        }
    }

    private static func name(of byte: UInt8) -> String {
        if byte > 0x20, byte < 0x7F { return "'\(Character(Unicode.Scalar(byte)))'" }
        let hex = String(byte, radix: 16, uppercase: true)
        return "byte 0x" + (hex.count == 1 ? "0" : "") + hex
    }
}
