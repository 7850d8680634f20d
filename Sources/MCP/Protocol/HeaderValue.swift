import Cryptography

/// Values of headers that repeat parts of a request (2026-07-28, Value Encoding).
enum HeaderValue {
    private static let opening = "=?base64?"
    private static let closing = "?="

    /// As it is where it is plain visible ASCII, else in Base64 between markers.
    static func encode(_ text: String) -> String {
        let isPlain =
            text.utf8.allSatisfy { (0x20...0x7E).contains($0) || $0 == 0x09 } && !isSpace(text.utf8.first) && !isSpace(text.utf8.last)
            && !(text.hasPrefix(opening) && text.hasSuffix(closing))
        return isPlain ? text : opening + Base64.encode(Array(text.utf8)) + closing
    }

    private static func isSpace(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }

    /// `1*tchar` (RFC 9110 §5.6.2).
    static func isToken(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy(tokenBytes.contains)
    }

    private static let tokenBytes = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
}
