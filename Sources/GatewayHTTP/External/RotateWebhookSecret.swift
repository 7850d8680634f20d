import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/webhook-secret/rotate` {overlapSeconds?}: the key that signs what external tools are sent, shown this once.
struct RotateWebhookSecret: CreatingOperation {
    static let audit = AuditRule.logs([.webhookSecretRotate])
    let gateway: Gateway

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> Int {
        try QueryReader.refuseAny(request.head)
        guard let body = try request.jsonIfPresent() else { return Limits.defaultKeyOverlapSeconds }
        var reader = try JSONObjectReader(body.root)
        let overlap = try reader.optionalInt("overlapSeconds", in: 0...Limits.maxKeyOverlapSeconds)
        try reader.finish()
        return overlap ?? Limits.defaultKeyOverlapSeconds
    }

    func create(_ overlapSeconds: Int, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> IssuedWebhookSecret {
        try await gateway.external.rotateSecret(in: tenant, overlapSeconds: overlapSeconds, by: context.author)
    }

    func answer(_ issued: IssuedWebhookSecret) -> CreationAnswer {
        Answer.creation(.ok, secretID: "webhook-secret") { writer in
            writer.field("secret", string: issued.text)
            writer.field("rotatedAt", time: issued.rotatedAt)
            writer.field("previousExpiresAt", timeIfPresent: issued.previousExpiresAt)
        }
    }
}
