import Domain
import JSON

/// Tools that this process carries out itself. Both kinds are safe to repeat, so a crash in between costs nothing.
enum ServerTools {
    /// - Parameter pass: the gate's, for this call; there is no other way to have one.
    static func perform(_ tool: ToolDefinition, arguments: RawJSON, _ pass: ToolPass) -> ToolOutcome {
        switch tool.serverKind {
        case .static(let output): .result(output, source: .server)
        case .passThrough: .result(arguments, source: .server)
        case nil: .failed(ToolError(code: "not_a_server_tool", message: "\(tool.name) does not run on the server."), source: .gateway)
        }
    }
}
