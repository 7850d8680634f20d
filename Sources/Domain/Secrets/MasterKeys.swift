public import Cryptography

/// A key that seals secrets, known by an id that tells nothing of it.
public struct MasterKey: Sendable, CustomStringConvertible {
    /// 16 hex digits; stored beside what the key has sealed.
    public let id: String
    private let bytes: [UInt8]

    /// nil unless `bytes` are 32.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == AES256GCM.keyBytes else { return nil }
        self.bytes = bytes
        id = Hex.encode(HMACSHA256.authenticate(Array("hsafa.master-key.id.v1".utf8), key: bytes).prefix(8))
    }

    /// A key of its own for each purpose, so that no two uses meet.
    public func derived(for purpose: String) -> [UInt8] { HMACSHA256.authenticate(Array(purpose.utf8), key: bytes) }

    /// Never the key.
    public var description: String { "master key \(id)" }
}

/// The keys that this gateway knows: one seals, all open.
public struct MasterKeys: Sendable {
    public let current: MasterKey
    public let others: [MasterKey]

    public init(current: MasterKey, others: [MasterKey] = []) {
        self.current = current
        self.others = others
    }

    public var all: [MasterKey] { [current] + others }

    public func key(_ id: String) -> MasterKey? { all.first { $0.id == id } }
}

/// A value under a master key.
public struct SealedSecret: Sendable, Hashable {
    public let keyID: String
    /// nonce ‖ ciphertext ‖ tag.
    public let bytes: [UInt8]

    public init(keyID: String, bytes: [UInt8]) {
        self.keyID = keyID
        self.bytes = bytes
    }
}

/// What is sealed is bound to whose it is, what it is called, and where it may go: moved to another row, or given other hosts behind
/// the gateway's back, it does not open.
public struct SecretSeal: Sendable {
    private let context: [UInt8]

    public init(tenant: TenantID, name: String, hosts: [String]) {
        context = Array((["hsafa.secret.v1", tenant.description, name] + hosts).joined(separator: "\n").utf8)
    }

    private static let purpose = "hsafa.secrets.v1"

    public func seal(_ value: String, _ keys: MasterKeys) throws(CryptographyError) -> SealedSecret {
        SealedSecret(
            keyID: keys.current.id,
            bytes: try AES256GCM.seal(Array(value.utf8), key: keys.current.derived(for: Self.purpose), authenticating: context))
    }

    public func open(_ sealed: SealedSecret, _ keys: MasterKeys) throws(CryptographyError) -> String {
        guard let key = keys.key(sealed.keyID) else {
            throw CryptographyError(
                operation: "open secret", detail: "it was sealed under master key \(sealed.keyID), which is not known here")
        }
        return String(
            decoding: try AES256GCM.open(sealed.bytes, key: key.derived(for: Self.purpose), authenticating: context), as: UTF8.self)
    }
}
