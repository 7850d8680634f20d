import Domain
import FoundationEssentials
import Hummingbird
import Runtime
import Storage

/// `GET /openapi.yaml`: the file that stands beside the program, read once at start.
struct GetOpenAPI: OpenOperation {
    private let document: String?

    init(gateway: Gateway) {
        document = FileManager.default.contents(atPath: gateway.configuration.openAPIFile)
            .flatMap { String(validating: $0, as: UTF8.self) }
    }

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        guard let document else {
            throw GatewayError(
                status: 404, code: "openapi_not_found", detail: "This gateway was started without its openapi.yaml; ask its operator.")
        }
        return Answer.text(document, contentType: "application/yaml; charset=utf-8")
    }
}
