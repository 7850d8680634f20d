import AsyncHTTPClient
import Domain
import ModelProviders

/// How a model call of a tenant leaves the gateway: through the guard, whose refusals become the model's errors.
struct ModelExchange: Sendable {
    let egress: EgressGuard
    let tenant: TenantScope

    @Sendable func send(_ request: HTTPClientRequest, timeout: Duration) async throws -> HTTPClientResponse {
        do { return try await egress.open(request, timeout: timeout, for: tenant) } catch let error as EgressError {
            switch error.code {
            case .invalidURL, .denied, .redirect:
                throw ModelError(code: .forbidden, publicMessage: "model.baseURL: \(error.message)", internalDetail: error.cause)
            case .timeout:
                throw ModelError(code: .timeout, publicMessage: error.message, internalDetail: error.cause, isRetryable: true)
            case .unresolved, .unreachable, .busy:
                throw ModelError(code: .unreachable, publicMessage: error.message, internalDetail: error.cause, isRetryable: true)
            }
        }
    }
}
