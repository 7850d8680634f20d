import Domain
import Storage

/// The key of a model call: as the config holds it, or the secret that it names.
enum ModelKey {
    static func resolve(_ model: AgentConfig.Model, _ secrets: SecretService, _ scope: TenantScope) async throws -> String? {
        guard let name = model.apiKeySecret else { return model.apiKey }
        guard let secret = try await secrets.open([name], scope).first else {
            throw GatewayError(
                status: 422, code: "secret_missing", detail: "model.apiKey names the secret \(name), which this tenant does not have.")
        }
        guard let url = model.baseURL.flatMap({ try? OutboundURL($0) }), secret.mayGo(to: url) else {
            throw GatewayError(
                status: 422, code: "secret_host_not_allowed",
                detail: "The secret \(name) may not be sent to the host of model.baseURL; add the host to the secret.")
        }
        return secret.value
    }
}
