import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/admin/tenants/{tenantId}/suspend` {reason?}: its keys get 403, streams and sockets end, runs pause.
struct SuspendTenant: AdminOperation {
    static let audit = AuditRule.logs([.tenantSuspend])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        try await gateway.tenants.answer(to: request, context, status: .suspended)
    }
}

/// `POST /api/admin/tenants/{tenantId}/resume` {reason?}: its runs go on.
struct ResumeTenant: AdminOperation {
    static let audit = AuditRule.logs([.tenantResume])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        try await gateway.tenants.answer(to: request, context, status: .active)
    }
}

extension TenantService {
    fileprivate func answer(
        to request: Request, _ context: AdminContext, status: TenantRecord.Status
    ) async throws -> Response {
        let id = try context.tenantID()
        try QueryReader.refuseAny(request)
        let reason = try await afterExistence {
            _ = try await get(context.admin, id)
        } _: { () -> String? in
            guard let body = try await JSONBody.readIfPresent(request) else { return nil }
            var reader = try JSONObjectReader(body.root)
            let reason = try reader.optionalString("reason", maxBytes: 1024)
            try reader.finish()
            return reason
        }
        return try await setStatus(context.admin, id, status, reason: reason).answer()
    }
}
