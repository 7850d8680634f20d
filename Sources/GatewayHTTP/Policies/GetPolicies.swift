import Domain
import Hummingbird
import JSON
import Runtime

/// `GET /api/policies`: what is in force for the tenant: the operator's rules that can concern it, and its own policies.
struct GetPolicies: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let effective = try await gateway.tenantPolicies.effective(context.scope)
        return Answer.object(capacity: 4096) { writer in
            writer.field("hash", string: effective.hash)
            writer.key("folder")
            writer.beginObject()
            writer.field("hash", string: effective.folderHash)
            writer.key("rules")
            writer.beginArray()
            for rule in effective.folder { rule.writeForTenant(to: &writer) }
            writer.endArray()
            writer.endObject()
            writer.key("policies")
            writer.beginArray()
            for policy in effective.own {
                writer.beginObject()
                policy.write(to: &writer)
                writer.endObject()
            }
            writer.endArray()
        }
    }
}
