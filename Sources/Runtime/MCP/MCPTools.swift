import Domain
import JSON
import Logging
import MCP
import Storage
import Synchronization

/// The way from one tenant to one of its MCP servers: guarded, and with the tenant's secrets.
typealias MCPRoads = @Sendable (TenantScope, MCPServerConfig) -> MCPRoad

/// The tools of the MCP servers that versions of agents name. Lists are kept for a bounded time, of a version each, since what a server shows may
/// depend on the headers it is asked with.
final class MCPTools: Sendable {
    private let client: MCPClient
    private let roads: MCPRoads
    private let lists = MCPListBook()
    private let discoveries: MetricCounter
    private let failures: MetricCounter
    private let logger: Logger

    init(metrics: MetricsRegistry, logger: Logger, roads: @escaping MCPRoads) {
        var limits = MCPLimits()
        limits.maxTools = Limits.maxMCPToolsOfServer
        limits.maxToolNameBytes = Limits.maxMCPToolNameBytes
        limits.maxKnownEras = Limits.maxKnownMCPEras
        limits.eraSeconds = Limits.mcpEraSeconds
        client = MCPClient(info: MCPClientInfo(name: "hsafa-gateway", version: "1.0"), limits: limits, logger: logger)
        self.roads = roads
        self.logger = logger
        discoveries = metrics.counter("hsafa_mcp_discoveries_total", help: "Times that MCP servers were asked for their tools.")
        failures = metrics.counter("hsafa_mcp_failures_total", help: "Discoveries and calls that an MCP server came to no answer to.")
    }

    /// Sessions for one claim of a run; nothing is opened before it is needed.
    func connections(for claimed: ClaimedRun) -> MCPConnections { MCPConnections(claimed: claimed) }

    /// What the servers of a version have. One that cannot be asked costs its own tools only.
    func inventory(_ config: AgentConfig, _ connections: MCPConnections) async -> MCPInventory {
        guard !config.mcpServers.isEmpty else { return MCPInventory() }
        let found = await withTaskGroup(of: (Int, MCPList).self) { group in
            for (index, server) in config.mcpServers.enumerated() {
                group.addTask { (index, await self.list(server, connections)) }
            }
            return await group.reduce(into: [Int: MCPList]()) { $0[$1.0] = $1.1 }
        }
        var inventory = MCPInventory()
        for (index, server) in config.mcpServers.enumerated() {
            switch found[index]?.outcome {
            case .tools(let tools):
                inventory.definitions += tools.map(\.definition).prefix(Limits.maxMCPTools - inventory.definitions.count)
            case .failed(let error): inventory.unavailable.append((server, error))
            case nil: break
            }
        }
        return inventory
    }

    /// Carries a call out. The gate has let it through.
    func perform(
        _ name: String, of server: MCPServerConfig, arguments: RawJSON, timeoutSeconds: Int, _ connections: MCPConnections
    ) async throws -> ToolOutcome {
        do {
            let tool: MCPTool
            switch await list(server, connections).outcome {
            case .failed(let error): return .failed(ToolError(error), source: .server)
            case .tools(let tools):
                guard let known = tools.first(where: { $0.tool.name == name }) else {
                    return .failed(
                        ToolError(code: "unknown_tool", message: "The MCP server \(server.name) has no tool \(name) any more."),
                        source: .gateway)
                }
                tool = known.tool
            }
            let session = session(server, connections)
            defer { if session.takeToolsChanged() { lists.forget(connections.claimed.versionID, server.name) } }
            let deadline = ContinuousClock.now.advanced(by: .seconds(timeoutSeconds))
            switch try await session.call(tool, arguments: arguments, deadline: deadline) {
            case .result(let json): return .result(json, source: .server)
            case .failed(let text): return .failed(ToolError(code: "tool_failed", message: text), source: .server)
            }
        } catch {
            try Task.checkCancellation()
            let error = MCPError(any: error)
            // What it says it has may be out of date.
            if error.rpcCode != nil { lists.forget(connections.claimed.versionID, server.name) }
            report(error, server, connections.claimed, "call")
            return .failed(ToolError(error), source: .server)
        }
    }

    private func list(_ server: MCPServerConfig, _ connections: MCPConnections) async -> MCPList {
        let version = connections.claimed.versionID
        if let known = lists.list(version, server.name) { return known }
        discoveries.add()
        let list: MCPList
        do {
            let session = session(server, connections)
            let deadline = ContinuousClock.now.advanced(by: .seconds(Limits.mcpDiscoverySeconds))
            let told = try await session.tools(deadline: deadline) { server.allows($0) }
            list = MCPList(told, of: server)
            for refusal in told.refused + list.refused {
                logger.warning(
                    "a tool of an MCP server cannot be used",
                    metadata: [
                        "run": "\(connections.claimed.runID)", "server": "\(server.name)", "tool": "\(refusal.tool)",
                        "cause": "\(refusal.reason)",
                    ])
            }
            if told.isCut {
                logger.warning(
                    "an MCP server has more tools than are taken",
                    metadata: ["run": "\(connections.claimed.runID)", "server": "\(server.name)", "taken": "\(told.tools.count)"])
            }
        } catch {
            // A run that ends is no fault of the server's.
            if Task.isCancelled { return MCPList(MCPError(.timeout, "The MCP server was not waited for.")) }
            let error = MCPError(any: error)
            report(error, server, connections.claimed, "discovery")
            list = MCPList(error)
        }
        lists.keep(list, version, server.name, of: connections.claimed.scope.tenantID)
        return list
    }

    private func session(_ server: MCPServerConfig, _ connections: MCPConnections) -> MCPSession {
        if let open = connections.session(server.name) { return open }
        let place = MCPServer(url: server.url, transport: server.transport.wire, partition: "\(connections.claimed.versionID)")
        let road = roads(connections.claimed.scope, server)
        let session = client.session(with: place, withholding: road.withhold) { try await road.send($0) }
        return connections.keep(session, server.name)
    }

    private func report(_ error: MCPError, _ server: MCPServerConfig, _ claimed: ClaimedRun, _ what: String) {
        failures.add()
        logger.warning(
            "an MCP server failed",
            metadata: [
                "run": "\(claimed.runID)", "tenant": "\(claimed.scope.tenantID)", "server": "\(server.name)", "at": "\(what)",
                // Not what the server said: it may repeat a credential.
                "code": "\(error.code.rawValue)",
            ])
    }
}

extension MCPServerConfig.Transport {
    var wire: MCPServer.Transport {
        switch self {
        case .auto: .automatic
        case .http: .http
        case .sse: .sse
        }
    }
}

extension MCPError {
    init(any error: any Error) {
        self = error as? MCPError ?? MCPError(.unreachable, "The MCP server cannot be reached.", detail: "\(error)")
    }
}

extension ToolError {
    init(_ error: MCPError) { self.init(code: error.code.rawValue, message: error.message) }
}
