import Hummingbird
import Runtime

/// `GET /docs`: the page that shows `openapi.yaml` and tries its operations on this very server.
struct GetDocs: OpenOperation {
    private let page: DocsFile?

    init(gateway: Gateway) { page = DocsFile(.page, in: gateway.configuration.docsDirectory) }

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        guard let page else { throw DocsFile.missing }
        return page.answer(request)
    }
}
