import Domain
import JSON
import Storage
import Synchronization

/// Parsed configs of versions. They never change, so what was read once stays true; the number kept is bounded.
final class VersionBook: Sendable {
    private struct State {
        var configs: [AgentVersionID: AgentConfig] = [:]
        /// Order of arrival; the oldest makes room.
        var order: [AgentVersionID] = []
    }

    private let database: Database
    private let state = Mutex(State())

    init(database: Database) { self.database = database }

    /// Throws `not_found` when the tenant has no such version.
    func config(_ scope: TenantScope, _ id: AgentVersionID) async throws -> AgentConfig {
        if let known = state.withLock({ $0.configs[id] }) { return known }
        guard let record = try await database.tenant(scope).version(id) else { throw GatewayError.notFound("agent_version") }
        let config = try AgentConfig(reading: record.config.document().root)
        state.withLock { state in
            guard state.configs[id] == nil else { return }
            if state.order.count >= Limits.maxCachedVersions {
                state.configs[state.order.removeFirst()] = nil
            }
            state.configs[id] = config
            state.order.append(id)
        }
        return config
    }
}
