import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/devices/enrollment-tokens`: the token is shown this once.
struct CreateEnrollmentToken: Operation {
    static let audit = AuditRule.logs([.enrollmentTokenCreate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let body = try await JSONBody.readIfPresent(request)
        var reader = try JSONObjectReader(try body?.root ?? JSONDocument(parsing: Array("{}".utf8)).root)
        let labels = try reader.optionalLabels() ?? [:]
        let allowedTools = try reader.optionalAllowedTools()
        let autoApprove = try reader.optionalBool("autoApprove") ?? false
        let deviceKey = try reader.optionalDeviceKey()
        let expires = try reader.optionalInt("expiresSeconds", in: 1...Limits.maxEnrollmentSeconds)
        try reader.finish()
        let issued = try await gateway.devices.createEnrollmentToken(
            context.scope, labels: labels, allowedTools: allowedTools, autoApprove: autoApprove, deviceKey: deviceKey,
            expiresSeconds: expires, by: context.author)
        return Answer.object(.created) { writer in
            writer.field("tokenId", string: issued.tokenID)
            writer.field("token", string: issued.token)
            writer.field("audience", string: issued.audience)
            writer.field("expiresAt", time: issued.expiresAt)
        }
    }
}
