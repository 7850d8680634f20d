import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/admin/audit`: the audit log of all tenants, or of the one named by `tenantId`.
struct ListAllAudit: AdminOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        var query = try QueryReader(request)
        let tenant: TenantID? = try query.id("tenantId")
        let filter = try query.auditFilter()
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.tenants.audit(context.admin, tenant: tenant, filter, page)) { row, writer in
            row.write(to: &writer, withTenant: true)
        }
    }
}
