import Domain
import Hummingbird
import JSON
import Runtime

/// `PATCH /api/admin/tenants/{tenantId}` {name?}: what is absent stays.
struct UpdateTenant: AdminOperation {
    static let audit = AuditRule.logs([.tenantUpdate])
    let gateway: Gateway

    private struct Change {
        let name: String?

        init(_ body: JSONDocument) throws {
            var reader = try JSONObjectReader(body.root)
            name = try reader.has("name") ? reader.label("name", maxBytes: Limits.maxKeyNameBytes) : nil
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
        return try await gateway.tenants.update(context.admin, id, name: change.name).answer()
    }
}
