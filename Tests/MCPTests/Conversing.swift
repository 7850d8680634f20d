import AsyncHTTPClient
import JSON
import Logging
import MCP
import NIOCore
import TestServers

/// A client whose connections nobody checks, as these tests' servers are on loopback.
enum Conversing {
    static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        configuration.httpVersion = .http1Only
        // Every server of the suite begins at once, and Python takes its time.
        configuration.timeout.connect = .seconds(120)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1000
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    static func client(_ limits: MCPLimits = MCPLimits()) -> MCPClient {
        MCPClient(info: MCPClientInfo(name: "tests", version: "1"), limits: limits, logger: Logger(label: "test"))
    }

    /// Far away: a safety net, and no part of what is tested.
    static var patience: ContinuousClock.Instant { .now.advanced(by: .seconds(120)) }

    static func with<Value>(
        _ url: String, _ transport: MCPServer.Transport = .automatic, headers: [MCPHeader] = [], client: MCPClient = client(),
        withholding: @escaping MCPWithholding = { $0 }, _ body: (MCPSession) async throws -> Value
    ) async throws -> Value {
        let server = MCPServer(url: url, transport: transport, headers: headers)
        let session = client.session(with: server, withholding: withholding) { try await http.execute($0, deadline: .distantFuture) }
        do {
            let value = try await body(session)
            await session.close()
            return value
        } catch {
            await session.close()
            throw error
        }
    }
}

extension MCPSession {
    func list() async throws -> MCPToolList { try await tools(deadline: Conversing.patience) }

    func tool(_ name: String) async throws -> MCPTool {
        guard let tool = try await tools(deadline: Conversing.patience, wanted: { $0 == name }).tools.first else {
            throw ServerFailure(description: "there is no tool \(name)")
        }
        return tool
    }

    func call(_ name: String, _ arguments: StaticString = "{}") async throws -> MCPToolResult {
        try await call(try await tool(name), arguments: RawJSON(arguments), deadline: Conversing.patience)
    }

    func json(_ name: String, _ arguments: StaticString = "{}") async throws -> String {
        switch try await call(name, arguments) {
        case .result(let json): json.string
        case .failed(let text): throw ServerFailure(description: "the tool failed: \(text)")
        }
    }
}
