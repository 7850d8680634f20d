public import Domain
public import JSON
import ModelProviders
import Postgres
public import Storage

/// Agents and their immutable versions.
public struct AgentService: Sendable {
    private let database: Database
    private let gate: ToolGate
    private let limiter: TenantLimiter

    init(database: Database, gate: ToolGate, limiter: TenantLimiter) {
        self.database = database
        self.gate = gate
        self.limiter = limiter
    }

    /// With a config, the first version is published as well, or neither is written. 409 `agent_exists` when the name is taken, 429
    /// `agent_limit_exceeded`.
    public func create(
        in tenant: TenantDatabase, name: String, description: String?, config: JSONNode?, version: String?, by author: ChangeAuthor
    ) async throws -> (AgentRecord, AgentVersionRecord?) {
        guard Names.isValid(name) else { throw GatewayError.invalidBody(JSONViolation(pointer: "/name", message: Names.rule)) }
        let id = AgentID.generate()
        guard let config else { return (try await insert(id, name: name, description: description, in: tenant, by: author), nil) }
        // Checked before a transaction is opened for it, and once: what was decided is counted.
        let check = try await checked(config, in: tenant, pointer: "/config", agentName: name, configHash: nil, by: author)
        return try await tenant.inTransaction { tenant in
            _ = try await insert(id, name: name, description: description, in: tenant, by: author)
            let (published, _) = try await publish(id, in: tenant, config: config, check, version: version, metadata: nil, by: author)
            guard let agent = try await tenant.agent(id) else { throw GatewayError.notFound("agent") }
            return (agent, published)
        }
    }

    private func insert(
        _ id: AgentID, name: String, description: String?, in tenant: TenantDatabase, by author: ChangeAuthor
    ) async throws -> AgentRecord {
        let limits = try await limiter.limits(tenant.scope)
        let agent: AgentRecord
        switch try await tenant.changes(by: author).insertAgent(id, name: name, description: description, limit: limits.agents) {
        case .created(let record): agent = record
        case .nameTaken:
            throw GatewayError.conflict("agent_exists", "An agent named \(name) exists; publish a new version of it instead.")
        case .limitReached:
            limiter.refused(.agents)
            throw GatewayError.tooManyAgents(limits)
        }
        return agent
    }

    public func list(_ scope: TenantScope, _ page: PageRequest) async throws -> Page<AgentRecord> {
        let rows = try await database.tenant(scope).agents(limit: page.limit + 1, after: try page.after(AgentID.self))
        return Page(rows: rows, limit: page.limit) { $0.agentID.description }
    }

    public func get(_ scope: TenantScope, _ id: AgentID) async throws -> AgentRecord {
        guard let agent = try await database.tenant(scope).agent(id) else { throw GatewayError.notFound("agent") }
        return agent
    }

    /// `description`: nil leaves it, `.some(nil)` clears it.
    public func update(
        _ scope: TenantScope, _ id: AgentID, description: String??, currentVersionID: AgentVersionID?, by author: ChangeAuthor
    ) async throws -> AgentRecord {
        let changed = try await database.tenant(scope).changes(by: author).updateAgent(
            id, description: description, currentVersionID: currentVersionID)
        if let changed { return changed }
        _ = try await get(scope, id)
        throw GatewayError.invalidBody(JSONViolation(pointer: "/currentVersionId", message: "must be the id of a version of this agent"))
    }

    public func delete(_ scope: TenantScope, _ id: AgentID, by author: ChangeAuthor) async throws {
        guard try await database.tenant(scope).changes(by: author).deleteAgent(id) else { throw GatewayError.notFound("agent") }
    }

    /// An equal config gives the version that exists, and makes it current again.
    public func publish(
        _ id: AgentID, in tenant: TenantDatabase, config: JSONNode, pointer: String, version: String?, configHash: String?,
        metadata: RawJSON?, by author: ChangeAuthor
    ) async throws -> (AgentVersionRecord, created: Bool) {
        guard let agent = try await tenant.agent(id) else { throw GatewayError.notFound("agent") }
        let check = try await checked(
            config, in: tenant, pointer: pointer, agentName: agent.name, configHash: configHash, by: author)
        return try await publish(id, in: tenant, config: config, check, version: version, metadata: metadata, by: author)
    }

    /// - Parameter check: what `checked` said of the config.
    private func publish(
        _ id: AgentID, in tenant: TenantDatabase, config: JSONNode, _ check: (hash: String, decisions: RawJSON), version: String?,
        metadata: RawJSON?, by author: ChangeAuthor
    ) async throws -> (AgentVersionRecord, created: Bool) {
        if let version, !Names.isValid(version) {
            throw GatewayError.invalidBody(JSONViolation(pointer: "/version", message: Names.rule))
        }
        let outcome = try await tenant.changes(by: author).publish(
            id, version: version, config: config.rawJSON, configHash: check.hash, metadata: metadata, decisions: check.decisions)
        switch outcome {
        case .created(let record): return (record, true)
        case .existing(let record): return (record, false)
        case .agentNotFound: throw GatewayError.notFound("agent")
        case .labelTaken:
            throw GatewayError.conflict(
                "version_exists",
                "This agent has a version \(version ?? "") with another config; versions never change, choose a new label.")
        }
    }

    public func versions(_ scope: TenantScope, _ id: AgentID, _ page: PageRequest) async throws -> Page<AgentVersionRecord> {
        _ = try await get(scope, id)
        let rows = try await database.tenant(scope).versions(of: id, limit: page.limit + 1, after: try page.after(AgentVersionID.self))
        return Page(rows: rows, limit: page.limit) { $0.versionID.description }
    }

    public func version(_ scope: TenantScope, _ id: AgentID, _ versionID: AgentVersionID) async throws -> AgentVersionRecord {
        _ = try await get(scope, id)
        guard let version = try await database.tenant(scope).version(versionID, of: id) else {
            throw GatewayError.notFound("agent_version")
        }
        return version
    }

    /// Checks a config against its format, policy and the tenant's secrets; returns its hash, and what the gate decided about its tools.
    private func checked(
        _ config: JSONNode, in tenant: TenantDatabase, pointer: String, agentName: String, configHash: String?, by author: ChangeAuthor
    ) async throws -> (hash: String, decisions: RawJSON) {
        let parsed = try Self.parsed(config, pointer: pointer)
        guard parsed.agentName == agentName else {
            throw GatewayError.invalidBody(
                JSONViolation(pointer: "\(pointer)/agent/name", message: "must be \(agentName), the agent's name, which is for life"))
        }
        let decisions = try await admitted(parsed, tenant.scope, pointer: pointer, by: author)
        var violations = try await SecretService.violations(of: parsed, at: pointer, in: tenant)
        violations += try await ExternalService.violations(of: parsed, at: pointer, in: tenant)
        if !violations.isEmpty {
            throw GatewayError(
                status: 422, code: "secret_not_usable", detail: "The config names secrets that it cannot use.", violations: violations)
        }
        let hash: String
        do throws(JSONError) { hash = try AgentConfig.hash(of: config) } catch {
            throw GatewayError.invalidBody(
                JSONViolation(pointer: pointer, message: "has no canonical form (RFC 8785): \(error)"))
        }
        if let configHash, configHash != hash {
            throw GatewayError.invalidBody(
                JSONViolation(pointer: "/configHash", message: "is not the hash of this config (RFC 8785, SHA-256), which is \(hash)"))
        }
        return (hash, decisions)
    }

    private static func parsed(_ config: JSONNode, pointer: String) throws(GatewayError) -> AgentConfig {
        guard config.raw.count <= Limits.maxConfigBytes else { throw .tooLarge("The config", maxBytes: Limits.maxConfigBytes) }
        do throws(JSONViolation) {
            let parsed = try AgentConfig(reading: config, at: pointer)
            try parsed.checkNew(at: pointer)
            if let script = parsed.model.script { try SimulatedModel.validate(script: script) }
            return parsed
        } catch {
            let isScript = error.pointer.hasPrefix(pointer + "/") || error.pointer == pointer
            throw .invalidBody(
                isScript ? error : JSONViolation(pointer: "\(pointer)/model/script\(error.pointer)", message: error.message))
        }
    }

    /// A tool that can never be used is an error, with the rule. What was decided goes into the audit log: with the version's own row, or,
    /// where nothing is published, in a row that is written at once.
    private func admitted(
        _ config: AgentConfig, _ scope: TenantScope, pointer: String, by author: ChangeAuthor
    ) async throws -> RawJSON {
        let rules = try await gate.rules(scope)
        var violations: [JSONViolation] = []
        let decisions = RawJSON.object { writer in
            writer.field("policyHash", string: rules.policies.hash)
            writer.key("tools")
            writer.beginArray()
            func look(at tool: ToolDefinition, _ place: String, _ subject: String, _ remedy: String) {
                let decision = rules.decide(agent: config.agentName, tool: tool)
                gate.count(.publish, tool.target, decision.effect)
                writer.beginObject()
                writer.field("tool", string: tool.name)
                writer.field("target", string: tool.target.rawValue)
                writer.field("decision", string: decision.effect.rawValue)
                writer.field("rule", stringIfPresent: decision.namedRules.first)
                writer.endObject()
                guard decision.isDenied else { return }
                let denying = decision.namedRules
                let named = denying.isEmpty ? "no rule allows it" : "denied by \(denying.joined(separator: ", "))"
                violations.append(
                    JSONViolation(
                        pointer: place,
                        message: "\(subject)can never be used: \(named) for target \(tool.target.rawValue); \(remedy) or ask the operator"))
            }
            for (index, tool) in config.tools.enumerated() { look(at: tool, "\(pointer)/tools/\(index)", "", "change the tool") }
            // Tools of an MCP server that its config does not name are known only when the server is asked: the gate sees them then.
            for (index, server) in config.mcpServers.enumerated() {
                for tool in server.namedTools {
                    look(at: tool, "\(pointer)/mcp/servers/\(index)/allowedTools", "\(tool.name) ", "leave it out")
                }
            }
            writer.endArray()
        }
        if !violations.isEmpty {
            // Outside any transaction that is open: that one is about to be rolled back.
            try await database.tenant(scope).changes(by: author).note(
                AuditEntry(.agentVersionRefuse, named: config.agentName, details: decisions))
            throw GatewayError(
                status: 422, code: "tool_denied_by_policy", detail: "Policy does not allow every tool of this agent.",
                violations: violations)
        }
        return decisions
    }
}
