import Cryptography

/// A key that signs what the gateway sends to a tenant's systems (Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes).
public struct WebhookSecret: Sendable, CustomStringConvertible {
    private let key: [UInt8]

    public init() { key = SecureRandom.bytes(32) }

    /// nil when it is none.
    public init?(_ text: String) {
        guard text.hasPrefix("whsec_"), let key = Base64.decode(String(text.dropFirst(6))), (24...64).contains(key.count) else {
            return nil
        }
        self.key = key
    }

    /// Shown once.
    public var text: String { "whsec_" + Base64.encode(key) }

    /// Never the key.
    public var description: String { "webhook secret" }

    /// One of the signatures in `webhook-signature`: over id, timestamp in seconds, and body, with dots between.
    public func signature(id: String, timestamp: Int64, body: [UInt8]) -> String {
        "v1," + Base64.encode(HMACSHA256.authenticate(Array("\(id).\(timestamp).".utf8) + body, key: key))
    }
}
