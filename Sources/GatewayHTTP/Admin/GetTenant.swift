import Domain
import Hummingbird
import Runtime

/// `GET /api/admin/tenants/{tenantId}`.
struct GetTenant: AdminOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        let id = try context.tenantID()
        try QueryReader.refuseAny(request)
        return try await gateway.tenants.get(context.admin, id).answer()
    }
}
