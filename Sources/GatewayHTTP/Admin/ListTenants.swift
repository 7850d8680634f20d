import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/admin/tenants`: newest first, the platform's own included.
struct ListTenants: AdminOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        var query = try QueryReader(request)
        let status = try query.choice("status", of: TenantRecord.Status.self)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.tenants.list(context.admin, status: status, page)) { tenant, writer in
            tenant.write(to: &writer)
        }
    }
}
