import Domain
import JSON

/// Tools that this process carries out itself. Those without a server are safe to repeat, so a crash in between costs nothing; a call to an MCP
/// server is made at least once.
enum ServerTools {
    /// - Parameter pass: the gate's, for this call; there is no other way to have one.
    static func perform(
        _ tool: ToolDefinition, arguments: RawJSON, _ pass: ToolPass, _ config: AgentConfig, _ mcp: MCPTools, _ connections: MCPConnections
    ) async throws -> ToolOutcome {
        switch tool.serverKind {
        case .static(let output): return .result(output, source: .server)
        case .passThrough: return .result(arguments, source: .server)
        case .mcp(let server, let name):
            guard let place = config.mcpServers.first(where: { $0.name == server }) else { break }
            return try await mcp.perform(name, of: place, arguments: arguments, timeoutSeconds: tool.timeoutSeconds, connections)
        case nil: break
        }
        return .failed(ToolError(code: "not_a_server_tool", message: "\(tool.name) does not run on the server."), source: .gateway)
    }
}
