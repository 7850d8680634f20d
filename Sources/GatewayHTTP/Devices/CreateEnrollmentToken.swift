import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/devices/enrollment-tokens`: the token is shown this once.
struct CreateEnrollmentToken: CreatingOperation {
    static let audit = AuditRule.logs([.enrollmentTokenCreate])
    let gateway: Gateway

    struct Draft {
        let labels: [String: String]
        let allowedTools: [String]?
        let autoApprove: Bool
        let deviceKey: String?
        let expiresSeconds: Int?
    }

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> Draft {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.jsonIfPresent()?.root ?? JSONDocument(parsing: Array("{}".utf8)).root)
        let draft = Draft(
            labels: try reader.optionalLabels() ?? [:], allowedTools: try reader.optionalAllowedTools(),
            autoApprove: try reader.optionalBool("autoApprove") ?? false, deviceKey: try reader.optionalDeviceKey(),
            expiresSeconds: try reader.optionalInt("expiresSeconds", in: 1...Limits.maxEnrollmentSeconds))
        try reader.finish()
        return draft
    }

    func create(_ draft: Draft, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> EnrollmentTokenIssued {
        try await gateway.devices.createEnrollmentToken(
            in: tenant, labels: draft.labels, allowedTools: draft.allowedTools, autoApprove: draft.autoApprove,
            deviceKey: draft.deviceKey, expiresSeconds: draft.expiresSeconds, by: context.author)
    }

    func answer(_ issued: EnrollmentTokenIssued) -> CreationAnswer {
        Answer.creation(secretID: issued.tokenID) { writer in
            writer.field("tokenId", string: issued.tokenID)
            writer.field("token", string: issued.token)
            writer.field("audience", string: issued.audience)
            writer.field("expiresAt", time: issued.expiresAt)
        }
    }
}
