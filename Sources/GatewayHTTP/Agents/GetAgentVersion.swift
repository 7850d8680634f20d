import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `GET /api/agents/{agentId}/versions/{versionId}`, with its config.
struct GetAgentVersion: Operation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let agentID = try context.parameters.id("agentId", "agent", as: AgentID.self)
        let versionID = try context.parameters.id("versionId", "agent_version", as: AgentVersionID.self)
        try QueryReader.refuseAny(request)
        let version = try await gateway.agents.version(context.scope, agentID, versionID)
        return Answer.object(capacity: version.config.bytes.count + 512) { writer in version.write(to: &writer, withConfig: true) }
    }
}
