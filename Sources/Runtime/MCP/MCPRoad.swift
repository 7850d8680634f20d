import AsyncHTTPClient
import Domain
import JSON
import MCP
import NIOHTTP1
import Storage
import Synchronization

/// How one session's requests to an MCP server leave: through the guard, with the tenant's secrets put into the headers that name them.
/// Secrets are opened for each request, so that one that is replaced or deleted is sent no more; and whatever was sent is cut out of all that
/// the server says, its tools' descriptions too.
final class MCPRoad: Sendable {
    private let server: MCPServerConfig
    private let scope: TenantScope
    private let secrets: SecretService
    private let egress: EgressGuard
    private let sent = Mutex(Sent())

    private struct Sent {
        var secrets: [Secret] = []
        var values = SecretValues.none

        mutating func add(_ used: [Secret]) {
            let new = used.filter { secret in !secrets.contains { $0.name == secret.name && $0.value == secret.value } }
            guard !new.isEmpty else { return }
            // A secret that is replaced again and again leaves its last values.
            secrets = (secrets + new).suffix(2 * Limits.maxSecretsPerConfig)
            values = SecretValues(secrets)
        }
    }

    init(to server: MCPServerConfig, _ scope: TenantScope, _ secrets: SecretService, _ egress: EgressGuard) {
        self.server = server
        self.scope = scope
        self.secrets = secrets
        self.egress = egress
    }

    func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        var request = request
        // What the protocol itself has set stands.
        let own = try await headers().filter { !MCPServer.isReserved($0.name) && !request.headers.contains(name: $0.name) }
        for header in own { request.headers.add(name: header.name, value: header.value) }
        do {
            return try await egress.open(request, timeout: .seconds(Limits.maxMCPCallSeconds), for: scope)
        } catch let error as EgressError {
            throw MCPError(Self.code(of: error), error.message, detail: error.cause)
        }
    }

    func withhold(_ said: [UInt8]) -> [UInt8] {
        let values = sent.withLock { $0.values }
        return values.isEmpty ? said : values.cut(from: RawJSON(trusted: said)).bytes
    }

    private static func code(of error: EgressError) -> MCPError.Code {
        switch error.code {
        case .denied, .invalidURL, .redirect: .refused
        case .timeout: .timeout
        case .unresolved, .unreachable, .busy: .unreachable
        }
    }

    /// A secret goes only to the hosts that it names, and what names one that is not there is not sent in its place.
    private func headers() async throws -> [(name: String, value: String)] {
        let opened = try await secrets.open(server.secretNames, scope)
        do {
            let url = try OutboundURL(server.url)
            for secret in opened where !secret.mayGo(to: url) {
                throw MCPError(.refused, "The secret \(secret.name) may not be sent to \(url.host); add the host to the secret.")
            }
            let filled = try server.filledHeaders(opened)
            sent.withLock { $0.add(opened) }
            return filled
        } catch let error as TemplateError {
            throw MCPError(.refused, "A header of the MCP server \(server.name) \(error.message).")
        } catch let error as OutboundURLError {
            throw MCPError(.refused, "The URL of the MCP server \(server.name) \(error.message).")
        }
    }
}
