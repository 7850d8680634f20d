import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/admin/tenants`: newest first, the platform's own included.
struct ListTenants: AdminOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        var query = try QueryReader(request)
        var status: TenantRecord.Status?
        if let text = query.string("status") {
            guard let known = TenantRecord.Status(rawValue: text) else {
                throw GatewayError.invalidQuery("status", "must be active or suspended")
            }
            status = known
        }
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.tenants.list(context.admin, status: status, page)) { tenant, writer in
            tenant.write(to: &writer)
        }
    }
}
