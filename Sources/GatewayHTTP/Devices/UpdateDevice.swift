import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `PATCH /api/devices/{deviceId}`: what is absent stays; null clears displayName and allowedTools.
struct UpdateDevice: Operation {
    static let audit = AuditRule.logs([.deviceUpdate])
    let gateway: Gateway

    private struct Change {
        let displayName: String??
        let labels: [String: String]?
        let allowedTools: [String]??

        init(_ body: JSONDocument) throws {
            var reader = try JSONObjectReader(body.root)
            let (hasName, hasTools) = (reader.has("displayName"), reader.has("allowedTools"))
            let name = try reader.optionalDisplayName()
            let tools = try reader.optionalAllowedTools()
            displayName = hasName ? .some(name) : nil
            allowedTools = hasTools ? .some(tools) : nil
            labels = try reader.optionalLabels()
            try reader.finish()
        }
    }

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("deviceId", "device", as: DeviceID.self)
        try QueryReader.refuseAny(request)
        let change = try await afterExistence {
            _ = try await gateway.devices.get(context.scope, id)
        } _: {
            try Change(try await JSONBody.read(request))
        }
        let device = try await gateway.devices.update(
            context.scope, id, displayName: change.displayName, labels: change.labels, allowedTools: change.allowedTools,
            by: context.author)
        return Answer.object { writer in device.write(to: &writer) }
    }
}
