import Hummingbird
import Runtime

/// `GET /docs/{file}`: what the page loads.
struct GetDocsFile: OpenOperation {
    private let files: [String: DocsFile]

    init(gateway: Gateway) {
        var files: [String: DocsFile] = [:]
        for name in DocsFile.Name.allCases where name != .page {
            files[name.rawValue] = DocsFile(name, in: gateway.configuration.docsDirectory)
        }
        self.files = files
    }

    func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
        guard let name = context.parameters.get("file"), let file = files[name] else { throw DocsFile.missing }
        return file.answer(request)
    }
}
