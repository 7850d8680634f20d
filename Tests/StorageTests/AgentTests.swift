import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

struct AgentTests {
    private func config(_ number: Int) -> RawJSON {
        RawJSON.object { $0.field("number", int: number) }
    }

    private func publish(
        _ tenant: TenantDatabase, _ agent: AgentID, version: String? = nil, _ number: Int
    ) async throws -> PublishOutcome {
        let config = config(number)
        return try await tenant.changes(by: .test).publish(
            agent, version: version, config: config, configHash: try AgentConfig.hash(of: config.document().root), metadata: nil)
    }

    private func withAgent<R: Sendable>(_ body: (TenantDatabase, AgentID) async throws -> R) async throws -> R {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let agent = try #require(try await tenant.changes(by: .test).insertAgent(.generate(), name: "a", description: "d").record)
            return try await body(tenant, agent.agentID)
        }
    }

    @Test func `versions are numbered from 1, and an equal config is the version that is there`() async throws {
        try await withAgent { tenant, agent in
            guard case .created(let first) = try await publish(tenant, agent, 1),
                case .created(let second) = try await publish(tenant, agent, 2)
            else {
                Issue.record("new configs make new versions")
                return
            }
            #expect([first.version, second.version] == ["1", "2"])
            #expect(try await tenant.agent(agent)?.currentVersionID == second.versionID)
            // Publishing the old one again is a roll-back; its label stays.
            guard case .existing(let again) = try await publish(tenant, agent, version: "other", 1) else {
                Issue.record("an equal config makes no version")
                return
            }
            #expect(again.versionID == first.versionID)
            #expect(again.version == "1")
            #expect(try await tenant.agent(agent)?.currentVersionID == first.versionID)
            #expect(try await tenant.versions(of: agent, limit: 10, after: nil).map(\.version) == ["2", "1"])
            #expect(try await tenant.versions(of: agent, limit: 10, after: second.versionID).map(\.version) == ["1"])
        }
    }

    @Test func `a label that is taken is refused, and numbers go on behind the highest`() async throws {
        try await withAgent { tenant, agent in
            guard case .created = try await publish(tenant, agent, version: "7", 1),
                case .created = try await publish(tenant, agent, version: "beta", 2),
                case .labelTaken = try await publish(tenant, agent, version: "beta", 3),
                case .created(let next) = try await publish(tenant, agent, 4),
                case .agentNotFound = try await publish(tenant, .generate(), 5)
            else {
                Issue.record("another outcome")
                return
            }
            #expect(next.version == "8")
            #expect(try await tenant.agent(agent)?.currentVersionID == next.versionID)
            #expect(try await tenant.versions(of: agent, limit: 10, after: nil).count == 3)
        }
    }

    @Test func `publishers at once number their versions without a gap`() async throws {
        try await withAgent { tenant, agent in
            let labels = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        guard case .created(let version) = try await self.publish(tenant, agent, number) else { return "none" }
                        return version.version
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(labels == Set((1...12).map(String.init)))
        }
    }

    @Test func `publishers of one config at once make one version`() async throws {
        try await withAgent { tenant, agent in
            let outcomes = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask { if case .created = try await self.publish(tenant, agent, 1) { true } else { false } }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.filter { $0 }.count == 1)
        }
    }

    @Test func `a name is taken until its agent is deleted, and a deleted agent is gone`() async throws {
        try await withAgent { tenant, agent in
            #expect(try await tenant.changes(by: .test).insertAgent(.generate(), name: "a", description: nil).record == nil)
            #expect(try await tenant.agent(named: "a")?.agentID == agent)
            #expect(try await tenant.changes(by: .test).deleteAgent(agent))
            #expect(try await !tenant.changes(by: .test).deleteAgent(agent))
            #expect(try await tenant.agent(agent) == nil)
            #expect(try await tenant.agent(named: "a") == nil)
            guard case .agentNotFound = try await publish(tenant, agent, 1) else {
                Issue.record("a deleted agent takes no version")
                return
            }
            #expect(try await tenant.changes(by: .test).insertAgent(.generate(), name: "a", description: nil).record != nil)
        }
    }

    @Test func `an update changes what it names and accepts only the agent's own versions`() async throws {
        try await withAgent { tenant, agent in
            guard case .created(let first) = try await publish(tenant, agent, 1),
                case .created(let second) = try await publish(tenant, agent, 2)
            else {
                Issue.record("no versions")
                return
            }
            let other = try #require(try await tenant.changes(by: .test).insertAgent(.generate(), name: "b", description: nil).record)
                .agentID
            #expect(try await tenant.changes(by: .test).updateAgent(other, description: nil, currentVersionID: first.versionID) == nil)
            let pinned = try await tenant.changes(by: .test).updateAgent(agent, description: nil, currentVersionID: first.versionID)
            #expect(pinned?.currentVersionID == first.versionID)
            #expect(pinned?.description == "d")
            let cleared = try await tenant.changes(by: .test).updateAgent(agent, description: .some(nil), currentVersionID: nil)
            #expect(cleared?.description == nil)
            #expect(cleared?.currentVersionID == first.versionID)
            #expect(try await tenant.version(second.versionID, of: other) == nil)
            #expect(try await tenant.version(second.versionID)?.agentID == agent)
        }
    }

    @Test func `a key's row is found by its public part with its tenant's state`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let id = try await Bootstrap(owner: db.owner).insertKey(
                tenant: scope.tenantID, publicID: "abcdefghijkl", name: "n", secretHash: "h", scopes: [.runsRead, .agentsWrite],
                isAdmin: false)
            let credentials = Credentials(db.database)
            let key = try #require(try await credentials.apiKey(publicID: "abcdefghijkl"))
            #expect(key.keyID == id && key.scope == scope && key.scopes == [.runsRead, .agentsWrite] && !key.isAdmin)
            #expect(!key.isRevoked && !key.isTenantSuspended && key.expiresAt == nil && key.generation == 1)
            #expect(try await credentials.apiKey(publicID: "unknown") == nil)
            try await db.asOwner(scope, "UPDATE hsafa.tenants SET status = 'suspended' WHERE tenant_id = \(scope.tenantID)")
            try await db.asOwner(scope, "UPDATE hsafa.api_keys SET revoked_at = now() WHERE tenant_id = \(scope.tenantID)")
            let later = try #require(try await credentials.apiKey(publicID: "abcdefghijkl"))
            #expect(later.isRevoked && later.isTenantSuspended)
            #expect(try await Bootstrap(owner: db.owner).ensureTenant(slug: scope.slug, name: "again") == scope.tenantID)
        }
    }
}
