import Cryptography

/// A secret that tells a bad copy before any database is asked: `<prefix>_<id 12 base62>_<secret 43 base62><crc32 6 base62>`.
///
/// The check sum is IEEE CRC-32 of all characters before it, base62, padded to six. 43 base62 characters are 256 bits.
public struct CredentialToken: Sendable {
    public enum Kind: String, Sendable {
        case apiKey = "hsk"
        case enrollment = "hse"
        case runToken = "hrt"
    }

    public let kind: Kind
    /// Public: finds the row.
    public let id: String
    /// The whole text; hash this, never store it.
    public let text: String

    static let idLength = 12
    static let secretLength = 43
    static let checksumLength = 6

    /// Characters of every token of this kind.
    public static func length(_ kind: Kind) -> Int { kind.rawValue.utf8.count + 1 + idLength + 1 + secretLength + checksumLength }

    /// nil when prefix, length, alphabet or check sum are wrong.
    public init?(_ text: String, kind: Kind) {
        let bytes = Array(text.utf8)
        let prefix = Array("\(kind.rawValue)_".utf8)
        let idEnd = prefix.count + Self.idLength
        let checksumStart = idEnd + 1 + Self.secretLength
        guard bytes.count == checksumStart + Self.checksumLength, bytes.starts(with: prefix), bytes[idEnd] == UInt8(ascii: "_") else {
            return nil
        }
        let isBase62 = bytes.indices.allSatisfy { $0 < prefix.count || $0 == idEnd || Self.isBase62(bytes[$0]) }
        let expected = Base62.encode(CRC32.checksum(bytes[..<checksumStart]), width: Self.checksumLength)
        guard isBase62, Array(expected.utf8) == Array(bytes[checksumStart...]) else { return nil }
        self.kind = kind
        self.id = String(decoding: bytes[prefix.count..<idEnd], as: UTF8.self)
        self.text = text
    }

    private init(kind: Kind, id: String, text: String) {
        self.kind = kind
        self.id = id
        self.text = text
    }

    public static func generate(_ kind: Kind) -> CredentialToken {
        let id = Base62.random(count: idLength)
        let body = "\(kind.rawValue)_\(id)_\(Base62.random(count: secretLength))"
        return CredentialToken(kind: kind, id: id, text: body + Base62.encode(CRC32.checksum(body.utf8), width: checksumLength))
    }

    private static func isBase62(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }
}
