import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/audit`: who changed what, newest first, by action, actor, target and time.
struct ListAudit: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let filter = try query.auditFilter()
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.audit.list(context.scope, filter, page)) { row, writer in
            row.write(to: &writer, withTenant: false)
        }
    }
}
