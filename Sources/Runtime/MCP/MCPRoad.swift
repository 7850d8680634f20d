import AsyncHTTPClient
import Domain
import JSON
import MCP
import Storage

/// How requests to MCP servers leave: through the guard, with the tenant's secrets put into the headers that name them.
enum MCPRoad {
    static func send(
        _ request: HTTPClientRequest, through egress: EgressGuard, for scope: TenantScope
    ) async throws -> HTTPClientResponse {
        do {
            return try await egress.open(request, timeout: .seconds(Limits.maxMCPCallSeconds), for: scope)
        } catch let error as EgressError {
            throw MCPError(code(of: error), error.message, detail: error.cause)
        }
    }

    private static func code(of error: EgressError) -> MCPError.Code {
        switch error.code {
        case .denied, .invalidURL, .redirect: .refused
        case .timeout: .timeout
        case .unresolved, .unreachable, .busy: .unreachable
        }
    }

    /// A secret goes only to the hosts that it names, and what names one that is not there is not sent in its place.
    static func headers(of server: MCPServerConfig, _ secrets: SecretService, _ scope: TenantScope) async throws -> [MCPHeader] {
        let opened = try await secrets.open(server.secretNames, scope)
        do {
            let url = try OutboundURL(server.url)
            for secret in opened where !secret.mayGo(to: url) {
                throw MCPError(.refused, "The secret \(secret.name) may not be sent to \(url.host); add the host to the secret.")
            }
            return try server.filledHeaders(opened).map { MCPHeader(name: $0.name, value: $0.value) }
        } catch let error as TemplateError {
            throw MCPError(.refused, "A header of the MCP server \(server.name) \(error.message).")
        } catch let error as OutboundURLError {
            throw MCPError(.refused, "The URL of the MCP server \(server.name) \(error.message).")
        }
    }
}
