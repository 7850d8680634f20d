import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `PATCH /api/agents/{agentId}`: what is absent stays, a null description is cleared. The name is for life.
struct UpdateAgent: Operation {
    static let audit = AuditRule.logs([.agentUpdate])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("agentId", "agent", as: AgentID.self)
        try QueryReader.refuseAny(request)
        let change = try await afterExistence {
            _ = try await gateway.agents.get(context.scope, id)
        } _: {
            try Self.read(try await JSONBody.read(request))
        }
        let agent = try await gateway.agents.update(
            context.scope, id, description: change.description, currentVersionID: change.currentVersionID, by: context.author)
        return Answer.object { writer in agent.write(to: &writer) }
    }

    private static func read(_ body: JSONDocument) throws -> (description: String??, currentVersionID: AgentVersionID?) {
        var reader = try JSONObjectReader(body.root)
        let hasDescription = reader.has("description")
        let description = try reader.optionalString("description", maxBytes: Limits.maxDescriptionBytes)
        let version = try reader.optionalID("currentVersionId", as: AgentVersionID.self)
        try reader.finish()
        return (hasDescription ? .some(description) : nil, version)
    }
}
