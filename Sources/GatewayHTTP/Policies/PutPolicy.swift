import Domain
import Hummingbird
import JSON
import Runtime

/// `PUT /api/policies/{name}`: a file of the tenant's own layer, as JSON. 201 when the name is new. What is wider than the operator's rules
/// is accepted, with a warning, and has no effect there.
struct PutPolicy: Operation {
    static let audit = AuditRule.logs([.policyPut])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let body = try await JSONBody.read(request)
        let name = context.parameters["policyName"].map { String($0) } ?? ""
        let written = try await gateway.tenantPolicies.put(context.scope, name, body.root, by: context.author)
        return Answer.object(written.isNew ? .created : .ok, location: written.isNew ? "/api/policies" : nil, capacity: 1024) { writer in
            written.record.write(to: &writer)
            writer.field("warnings", strings: written.warnings)
        }
    }
}
