import Domain
import Hummingbird
import JSON
import Runtime

/// `PATCH /api/admin/tenants/{tenantId}` {name?, limits?}: what is absent stays; a limit that is null is the gateway's default again.
struct UpdateTenant: AdminOperation {
    static let audit = AuditRule.logs([.tenantUpdate])
    let gateway: Gateway

    private struct Change {
        let name: String?
        let limits: TenantLimitPatch?

        init(_ body: JSONDocument) throws {
            var reader = try JSONObjectReader(body.root)
            name = try reader.has("name") ? reader.label("name", maxBytes: Limits.maxKeyNameBytes) : nil
            limits = try reader.optionalNode("limits").map { node throws(JSONViolation) in
                try TenantLimitPatch(reading: node, at: reader.pointer(to: "limits"))
            }
            try reader.finish()
        }
    }

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        let id = try context.tenantID()
        try QueryReader.refuseAny(request)
        let change = try await afterExistence {
            _ = try await gateway.tenants.get(context.admin, id)
        } _: {
            try Change(try await JSONBody.read(request))
        }
        return try await gateway.tenants.update(context.admin, id, name: change.name, limits: change.limits).answer()
    }
}
