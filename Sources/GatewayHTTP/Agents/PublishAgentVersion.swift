import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/agents/{agentId}/versions`: 201 with a new version, 200 with the one that has an equal config.
struct PublishAgentVersion: Operation {
    static let audit = AuditRule.logs([.agentVersionPublish])
    let gateway: Gateway

    private struct Publication {
        let config: JSONNode
        let version: String?
        let configHash: String?
        let metadata: RawJSON?

        init(_ body: JSONDocument) throws {
            var reader = try JSONObjectReader(body.root)
            config = try reader.node("config")
            version = try reader.optionalVersionLabel()
            configHash = try reader.optionalString("configHash", maxBytes: 128)
            metadata = try reader.optionalMetadata()
            try reader.finish()
        }
    }

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("agentId", "agent", as: AgentID.self)
        try QueryReader.refuseAny(request)
        let publication = try await afterExistence {
            _ = try await gateway.agents.get(context.scope, id)
        } _: {
            try Publication(try await JSONBody.read(request))
        }
        let (version, isNew) = try await gateway.agents.publish(
            context.scope, id, config: publication.config, pointer: "/config", version: publication.version,
            configHash: publication.configHash, metadata: publication.metadata, by: context.author)
        let location = "/api/agents/\(id)/versions/\(version.versionID)"
        return Answer.object(isNew ? .created : .ok, location: isNew ? location : nil) { writer in
            version.write(to: &writer, withConfig: false)
        }
    }
}
