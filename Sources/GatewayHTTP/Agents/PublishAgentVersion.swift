import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/agents/{agentId}/versions`: 201 with a new version, 200 with the one that has an equal config.
struct PublishAgentVersion: CreatingOperation {
    static let audit = AuditRule.logs([.agentVersionRefuse, .agentVersionPublish])
    let gateway: Gateway

    struct Draft {
        let agentID: AgentID
        let config: JSONNode
        let version: String?
        let configHash: String?
        let metadata: RawJSON?
    }

    struct Created {
        let version: AgentVersionRecord
        let isNew: Bool
    }

    func requireParent(_ context: AuthenticatedContext) async throws {
        _ = try await gateway.agents.get(context.scope, try agentID(context))
    }

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> Draft {
        let id = try agentID(context)
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let draft = Draft(
            agentID: id, config: try reader.node("config"), version: try reader.optionalVersionLabel(),
            configHash: try reader.optionalString("configHash", maxBytes: 128), metadata: try reader.optionalMetadata())
        try reader.finish()
        return draft
    }

    func create(_ draft: Draft, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> Created {
        let (version, isNew) = try await gateway.agents.publish(
            draft.agentID, in: tenant, config: draft.config, pointer: "/config", version: draft.version, configHash: draft.configHash,
            metadata: draft.metadata, by: context.author)
        return Created(version: version, isNew: isNew)
    }

    func answer(_ created: Created) -> CreationAnswer {
        let location = "/api/agents/\(created.version.agentID)/versions/\(created.version.versionID)"
        return Answer.creation(created.isNew ? .created : .ok, location: created.isNew ? location : nil) { writer in
            created.version.write(to: &writer, withConfig: false)
        }
    }

    private func agentID(_ context: AuthenticatedContext) throws(GatewayError) -> AgentID {
        try context.parameters.id("agentId", "agent")
    }
}
