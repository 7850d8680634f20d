import Domain
import Hummingbird
import Runtime
import Storage

/// `GET /api/approvals`: the latest first; by status, so that those who wait are found.
struct ListApprovals: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let status = try query.choice("status", of: ApprovalStatus.self)
        let page = try query.page()
        try query.finish()
        return Answer.page(try await gateway.approvals.list(context.scope, status, page)) { approval, writer in
            approval.write(to: &writer)
        }
    }
}
