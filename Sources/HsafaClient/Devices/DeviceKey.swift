public import Cryptography

/// A device's Ed25519 key and the two things that it signs: lines of UTF-8, joined by LF.
public struct DeviceKey: Sendable {
    public let privateKey: Ed25519.PrivateKey

    public init() throws(CryptographyError) { privateKey = try Ed25519.PrivateKey() }
    public init(rawRepresentation: [UInt8]) throws(CryptographyError) {
        privateKey = try Ed25519.PrivateKey(rawRepresentation: rawRepresentation)
    }

    /// Base64url without padding.
    public var publicKey: String { Base64URL.encode(privateKey.publicKey.rawRepresentation) }

    public func enrollmentSignature(audience: String, tokenId: String, deviceKey: String) throws(CryptographyError) -> String {
        try sign(["hsafa.device.enroll.v1", audience, tokenId, publicKey, deviceKey])
    }

    public func connectSignature(audience: String, deviceId: String, nonce: String, ts: String) throws(CryptographyError) -> String {
        try sign(["hsafa.device.connect.v1", audience, deviceId, nonce, ts])
    }

    private func sign(_ lines: [String]) throws(CryptographyError) -> String {
        Base64URL.encode(try privateKey.sign(Array(lines.joined(separator: "\n").utf8)))
    }
}
