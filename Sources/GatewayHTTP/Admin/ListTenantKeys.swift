import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/admin/tenants/{tenantId}/keys`: newest first; of the platform's own tenant, the keys of its admins.
struct ListTenantKeys: AdminOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        let id = try context.tenantID()
        var query = try QueryReader(request)
        let page = try query.page()
        try query.finish()
        let scope = try await gateway.tenants.get(context.admin, id).scope
        return Answer.page(try await gateway.keys.list(scope, page)) { key, writer in key.write(to: &writer) }
    }
}
