public import JSON

/// An agent as the gateway describes it; `json` holds every field.
public struct Agent: Sendable {
    public let agentId: String
    public let name: String
    public let description: String?
    public let currentVersionId: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["agentId"]?.string ?? node["id"]?.string, let name = node["name"]?.string else {
            throw .malformed("An agent without “agentId” or “name”.")
        }
        agentId = id
        self.name = name
        description = node["description"]?.string
        currentVersionId = node["currentVersionId"]?.string ?? node["currentVersion"]?["versionId"]?.string
        json = node.rawJSON
    }
}

/// One immutable published config. `config` is present where a single version was asked for.
public struct AgentVersion: Sendable {
    public let versionId: String
    /// The label; an integer as text unless the publisher chose another.
    public let version: String
    public let configHash: String?
    public let config: RawJSON?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["versionId"]?.string ?? node["id"]?.string else { throw .malformed("A version without “versionId”.") }
        versionId = id
        version = node["version"]?.string ?? node["version"]?.int.map(String.init) ?? "?"
        configHash = node["configHash"]?.string
        config = node["config"]?.rawJSON
        json = node.rawJSON
    }
}

/// Whether a publish made a version or found an equal one.
public struct PublishedVersion: Sendable {
    public let version: AgentVersion
    public let created: Bool
}

extension HsafaClient {
    public var agents: AgentsAPI { AgentsAPI(client: self) }

    public struct AgentsAPI: Sendable {
        let client: HsafaClient

        public func create(
            name: String, description: String? = nil, config: RawJSON? = nil, version: String? = nil, idempotencyKey: String? = nil
        ) async throws(HsafaClientError) -> Agent {
            let body = RawJSON.object { writer in
                writer.field("name", string: name)
                writer.field("description", stringIfPresent: description)
                if let config { writer.field("config", raw: config) }
                writer.field("version", stringIfPresent: version)
            }
            let answer = try await client.create("/api/agents", idempotencyKey: idempotencyKey, body: body)
            return try Agent(answer.root)
        }

        public func list(limit: Int? = nil, cursor: String? = nil) async throws(HsafaClientError) -> Page<Agent> {
            try await client.page("/api/agents", [("limit", limit.map(String.init)), ("cursor", cursor)]) {
                node throws(HsafaClientError) in try Agent(node)
            }
        }

        public func get(_ agentId: String) async throws(HsafaClientError) -> Agent {
            try Agent(await client.call("GET", "/api/agents/\(percentEncode(agentId))").root)
        }

        /// Looks through the list, page by page (at most `maxPages` of 100): the API has no look-up by name.
        public func find(name: String, maxPages: Int = 100) async throws(HsafaClientError) -> Agent? {
            var cursor: String?
            for _ in 0..<maxPages {
                let page = try await list(limit: 100, cursor: cursor)
                if let agent = page.items.first(where: { $0.name == name }) { return agent }
                guard let next = page.nextCursor else { return nil }
                cursor = next
            }
            throw HsafaClientError(
                status: nil, code: "too_many_agents", detail: "“\(name)” is not among the first \(maxPages * 100) agents: use its id.")
        }

        /// Equal configs are one version: `created` is false when it was there before.
        public func publish(
            _ agentId: String, config: RawJSON, version: String? = nil, metadata: RawJSON? = nil, idempotencyKey: String? = nil
        ) async throws(HsafaClientError) -> PublishedVersion {
            let body = RawJSON.object { writer in
                writer.field("version", stringIfPresent: version)
                writer.field("config", raw: config)
                if let metadata { writer.field("metadata", raw: metadata) }
            }
            let answer = try await client.create(
                "/api/agents/\(percentEncode(agentId))/versions", idempotencyKey: idempotencyKey, body: body)
            return PublishedVersion(version: try AgentVersion(answer.root), created: answer.status == 201)
        }

        public func versions(
            _ agentId: String, limit: Int? = nil, cursor: String? = nil
        ) async throws(HsafaClientError) -> Page<AgentVersion> {
            try await client.page(
                "/api/agents/\(percentEncode(agentId))/versions", [("limit", limit.map(String.init)), ("cursor", cursor)]
            ) { node throws(HsafaClientError) in try AgentVersion(node) }
        }

        public func version(_ agentId: String, _ versionId: String) async throws(HsafaClientError) -> AgentVersion {
            try AgentVersion(
                await client.call("GET", "/api/agents/\(percentEncode(agentId))/versions/\(percentEncode(versionId))").root)
        }
    }
}
