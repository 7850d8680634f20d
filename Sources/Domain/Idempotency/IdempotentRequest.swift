import Cryptography

/// A creating request that carries an `Idempotency-Key`. Its slot is where its answer is kept: one for each tenant, principal, method,
/// path and key. Its fingerprint tells whether a later request in the same slot asks for the same thing.
public struct IdempotentRequest: Sendable {
    public let principalID: APIKeyID
    /// The operation's id, for those who look at the table.
    public let operation: String
    /// 32 bytes.
    public let slot: [UInt8]
    /// 32 bytes.
    public let fingerprint: [UInt8]

    /// - Parameter path: with the ids in it, as received and without the query.
    public init(
        _ key: IdempotencyKey, principalID: APIKeyID, operation: String, method: String, path: String, query: String?,
        contentType: String?, body: [UInt8]
    ) {
        self.principalID = principalID
        self.operation = operation
        slot = Self.digest([Array(method.utf8), Array(path.utf8), Array(key.text.utf8)])
        fingerprint = Self.digest([Array((query ?? "").utf8), Array((contentType ?? "").utf8), body])
    }

    /// Each part with its length before it, so that no two lists of parts give the same bytes.
    private static func digest(_ parts: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(parts.reduce(0) { $0 + $1.count + 8 })
        for part in parts {
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: part.count >> shift)) }
            bytes += part
        }
        return SHA256.hash(bytes)
    }
}

extension GatewayError {
    /// The key's first request is still under way.
    public static let requestInFlight = GatewayError(
        status: 409, code: "request_in_flight",
        detail: "A request with this Idempotency-Key is still being carried out; send this one again in a moment.", retryAfterSeconds: 1)

    public static let idempotencyKeyReused = GatewayError(
        status: 422, code: "idempotency_key_reused",
        detail: "This Idempotency-Key came with another request before; send this one with a key of its own.")

    public static func alreadyCreated(_ id: String) -> GatewayError {
        .conflict(
            "already_created",
            "This Idempotency-Key has created \(id). Its secret was in the first answer, and is kept nowhere; if that was lost, make a new one."
        )
    }
}
