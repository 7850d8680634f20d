import JSON

/// A signing secret, shown this once.
public struct IssuedWebhookSecret: Sendable {
    /// `whsec_…`, as libraries for Standard Webhooks take it.
    public let secret: String
    /// Until when the one before signs as well.
    public let previousExpiresAt: String?
}

extension HsafaClient {
    /// A new key that signs the calls of external tools.
    public func rotateWebhookSecret(overlapSeconds: Int? = nil) async throws(HsafaClientError) -> IssuedWebhookSecret {
        let body = RawJSON.object { writer in if let overlapSeconds { writer.field("overlapSeconds", int: overlapSeconds) } }
        let answer = try await call("POST", "/api/webhook-secret/rotate", body: body)
        return IssuedWebhookSecret(secret: try answer.string("secret"), previousExpiresAt: answer.root["previousExpiresAt"]?.string)
    }
}
