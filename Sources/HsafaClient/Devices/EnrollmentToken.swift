/// `hse_<tokenId 12 base62>_<secret 43 base62><crc32 6 base62>`, checked for typing errors before anything is sent.
public struct EnrollmentToken: Sendable {
    public enum Failure: Error, Sendable, CustomStringConvertible {
        case malformed
        case checksumMismatch

        public var description: String {
            switch self {
            case .malformed: "An enrolment token looks like hse_ + 12 characters + _ + 49 characters."
            case .checksumMismatch: "The enrolment token was mistyped or cut: its check sum is wrong."
            }
        }
    }

    public let text: String
    public let tokenId: String

    public init(_ text: String) throws(Failure) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "hse", parts[1].utf8.count == 12, parts[2].utf8.count == 49,
            (parts[1] + parts[2]).utf8.allSatisfy({ Self.alphabet.contains($0) })
        else { throw .malformed }
        guard text.utf8.suffix(6).elementsEqual(Self.base62(Self.crc32(text.utf8.dropLast(6)))) else { throw .checksumMismatch }
        self.text = text
        tokenId = String(parts[1])
    }

    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// Most significant digit first, padded to six.
    private static func base62(_ value: UInt32) -> [UInt8] {
        var rest = Int(value)
        var digits = [UInt8](repeating: alphabet[0], count: 6)
        for index in digits.indices.reversed() {
            digits[index] = alphabet[rest % 62]
            rest /= 62
        }
        return digits
    }

    /// IEEE 802.3, bit by bit: it runs over 60 bytes once.
    private static func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~crc
    }
}
