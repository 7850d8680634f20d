/// The caller's name for one creation (draft-ietf-httpapi-idempotency-key-header). Two spellings are taken: the draft's structured
/// string (`"8e03…"`, RFC 8941 §3.3.3, without parameters), and the bare token that most clients send (`8e03…`); both name the same key.
public struct IdempotencyKey: Sendable, Hashable {
    public let text: String

    /// What is accepted, for the error's sentence.
    public static let rule =
        "must be one quoted string or one bare token of 1 to \(Limits.maxIdempotencyKeyBytes) visible ASCII characters, such as a UUID"

    /// nil when the value is neither spelling, empty, or longer than `Limits.maxIdempotencyKeyBytes`.
    public init?(header: String) {
        let bytes = Array(header.utf8)
        let value = bytes.first == UInt8(ascii: "\"") ? Self.unquote(bytes) : bytes.allSatisfy(Self.isBare) ? bytes : nil
        guard let value, (1...Limits.maxIdempotencyKeyBytes).contains(value.count) else { return nil }
        text = String(decoding: value, as: UTF8.self)
    }

    /// RFC 8941 §4.2.5: printable ASCII, where a backslash stands before a quote or a backslash only.
    private static func unquote(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count >= 2, bytes.last == UInt8(ascii: "\"") else { return nil }
        var value: [UInt8] = []
        var isEscaped = false
        for byte in bytes.dropFirst().dropLast() {
            switch (byte, isEscaped) {
            case (UInt8(ascii: "\\"), false): isEscaped = true
            case (UInt8(ascii: "\\"), true), (UInt8(ascii: "\""), true):
                value.append(byte)
                isEscaped = false
            case (UInt8(ascii: "\""), false), (_, true): return nil
            case (0x20...0x7E, false): value.append(byte)
            default: return nil
            }
        }
        return isEscaped ? nil : value
    }

    /// `tchar` of RFC 9110 §5.6.2, and what base64, URLs and dates add to it. No comma: a list is no key.
    private static func isBare(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: "!#$%&'*+-.^_`|~:/=".utf8.contains(byte)
        }
    }
}
