import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/devices`: a device by its public key, without a token; it is active at once.
struct RegisterDevice: CreatingOperation {
    static let audit = AuditRule.logs([.deviceRegister])
    let gateway: Gateway

    struct Draft {
        let publicKey: String
        let deviceKey: String
        let displayName: String?
        let platform: String?
        let labels: [String: String]
    }

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> Draft {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let draft = Draft(
            publicKey: try reader.string("publicKey", maxBytes: 256), deviceKey: try reader.deviceKey(),
            displayName: try reader.optionalDisplayName(), platform: try reader.optionalPlatform(),
            labels: try reader.optionalLabels() ?? [:])
        try reader.finish()
        return draft
    }

    func create(_ draft: Draft, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> DeviceRecord {
        try await gateway.devices.register(
            in: tenant, publicKey: draft.publicKey, deviceKey: draft.deviceKey, displayName: draft.displayName, platform: draft.platform,
            labels: draft.labels, by: context.author)
    }

    func answer(_ device: DeviceRecord) -> CreationAnswer {
        Answer.creation(location: "/api/devices/\(device.deviceID)") { writer in device.write(to: &writer) }
    }
}
