import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/agents`: an agent, with its first version when a config is given.
struct CreateAgent: CreatingOperation {
    static let audit = AuditRule.logs([.agentCreate, .agentVersionPublish, .agentVersionRefuse])
    let gateway: Gateway

    struct Draft {
        let name: String
        let description: String?
        let config: JSONNode?
        let version: String?
    }

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> Draft {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let name = try reader.string("name", maxBytes: 1024)
        guard Names.isValid(name) else { throw JSONViolation(pointer: reader.pointer(to: "name"), message: Names.rule) }
        let description = try reader.optionalString("description", maxBytes: Limits.maxDescriptionBytes)
        let config = try reader.optionalNode("config")
        let version = try reader.optionalVersionLabel()
        try reader.finish()
        guard version == nil || config != nil else {
            throw JSONViolation(pointer: reader.pointer(to: "version"), message: "labels a config; send config as well, or leave it out")
        }
        return Draft(name: name, description: description, config: config, version: version)
    }

    func create(
        _ draft: Draft, in tenant: TenantDatabase, _ context: AuthenticatedContext
    ) async throws -> (AgentRecord, AgentVersionRecord?) {
        try await gateway.agents.create(
            in: tenant, name: draft.name, description: draft.description, config: draft.config, version: draft.version,
            by: context.author)
    }

    func answer(_ created: (AgentRecord, AgentVersionRecord?)) -> CreationAnswer {
        let (agent, published) = created
        return Answer.creation(location: "/api/agents/\(agent.agentID)") { writer in
            agent.write(to: &writer)
            guard let published else { return }
            writer.key("currentVersion")
            writer.beginObject()
            published.write(to: &writer, withConfig: false)
            writer.endObject()
        }
    }
}

extension JSONObjectReader {
    mutating func optionalVersionLabel() throws(JSONViolation) -> String? {
        guard let version = try optionalString("version", maxBytes: 1024) else { return nil }
        guard Names.isValid(version) else { throw JSONViolation(pointer: pointer(to: "version"), message: Names.rule) }
        return version
    }
}
