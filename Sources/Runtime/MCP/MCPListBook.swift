import Domain
import JSON
import MCP
import Synchronization

/// What one server was found to have, or why it could not be asked.
struct MCPList: Sendable {
    struct Entry: Sendable {
        let tool: MCPTool
        let definition: ToolDefinition
    }

    enum Outcome: Sendable {
        case tools([Entry])
        case failed(MCPError)
    }

    let outcome: Outcome
    let refused: [MCPToolList.Refusal]
    let until: ContinuousClock.Instant
    /// About what it takes in memory.
    let bytes: Int

    init(_ error: MCPError) {
        outcome = .failed(error)
        refused = []
        until = .now.advanced(by: .seconds(Limits.mcpAbsenceSeconds))
        bytes = 0
    }

    init(_ told: MCPToolList, of server: MCPServerConfig) {
        var entries: [Entry] = []
        var refused: [MCPToolList.Refusal] = []
        var bytes = 0
        for tool in told.tools {
            do {
                let arguments = try ArgumentsSchema(tool.inputSchema)
                let definition = ToolDefinition(
                    of: server, tool: tool.name, description: tool.description ?? tool.title, arguments: arguments)
                let size =
                    arguments.compiledBytes + tool.inputSchema.bytes.count + (tool.outputSchema?.bytes.count ?? 0)
                    + (tool.description?.utf8.count ?? 0)
                guard bytes + size <= Limits.maxMCPListBytes else {
                    refused.append(.init(tool: tool.name, reason: "the schemas of the server's tools take too much memory together"))
                    continue
                }
                bytes += size
                entries.append(Entry(tool: tool, definition: definition))
            } catch {
                refused.append(.init(tool: tool.name, reason: "its inputSchema cannot be used: \(error)"))
            }
        }
        outcome = .tools(entries)
        self.refused = refused
        self.bytes = bytes
        let range = Limits.mcpListSeconds
        let seconds = told.ttlMilliseconds.map { min(max($0 / 1000, range.lowerBound), range.upperBound) } ?? range.upperBound
        until = .now.advanced(by: .seconds(seconds))
    }
}

/// Lists of tools, by version of an agent and server; bounded in number and in bytes, in all and for each tenant.
final class MCPListBook: Sendable {
    private struct Key: Hashable {
        let version: AgentVersionID
        let server: String
    }

    private struct State {
        var lists: [Key: Kept] = [:]
        /// Order of arrival; the oldest makes room, for its tenant's own before others'.
        var order: [Key] = []
        var bytes = 0
        var bytesOfTenants: [TenantID: Int] = [:]
    }

    private struct Kept {
        let list: MCPList
        let tenant: TenantID
    }

    private let state = Mutex(State())

    func list(_ version: AgentVersionID, _ server: String) -> MCPList? {
        state.withLock { state in
            guard let list = state.lists[Key(version: version, server: server)]?.list, list.until > .now else { return nil }
            return list
        }
    }

    func keep(_ list: MCPList, _ version: AgentVersionID, _ server: String, of tenant: TenantID) {
        let key = Key(version: version, server: server)
        state.withLock { state in
            Self.remove(key, from: &state)
            state.lists[key] = Kept(list: list, tenant: tenant)
            state.order.append(key)
            state.bytes += list.bytes
            state.bytesOfTenants[tenant, default: 0] += list.bytes
            while state.bytesOfTenants[tenant] ?? 0 > Limits.maxKeptMCPBytesOfTenant,
                let oldest = state.order.first(where: { $0 != key && state.lists[$0]?.tenant == tenant })
            {
                Self.remove(oldest, from: &state)
            }
            while state.order.count > 1, state.order.count > Limits.maxKeptMCPLists || state.bytes > Limits.maxKeptMCPBytes {
                Self.remove(state.order[0], from: &state)
            }
        }
    }

    func forget(_ version: AgentVersionID, _ server: String) {
        state.withLock { Self.remove(Key(version: version, server: server), from: &$0) }
    }

    private static func remove(_ key: Key, from state: inout State) {
        guard let kept = state.lists.removeValue(forKey: key) else { return }
        state.bytes -= kept.list.bytes
        let left = (state.bytesOfTenants[kept.tenant] ?? 0) - kept.list.bytes
        state.bytesOfTenants[kept.tenant] = left > 0 ? left : nil
        state.order.removeAll { $0 == key }
    }
}

/// What a version's MCP servers have at this moment.
struct MCPInventory: Sendable {
    var definitions: [ToolDefinition] = []
    var unavailable: [(server: MCPServerConfig, error: MCPError)] = []

    /// Why the tool of this name is not there, where its server could not be asked.
    func absence(of tool: String) -> ToolError? {
        unavailable.first { tool.hasPrefix($0.server.name + ".") }.map { ToolError($0.error) }
    }
}
