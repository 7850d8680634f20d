import Domain
import HTTPTypes
import Hummingbird

/// Cross-origin requests of browsers (Fetch §3.2). Stands outside of the error translation, so that a page can read failures too. An
/// origin that is not allowed gets the answer without the headers that would let a page read it.
struct CORS: RouterMiddleware {
    let origins: CORSOrigins

    private static let allowedHeaders =
        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id, traceparent, tracestate"
    private static let exposedHeaders =
        "Location, Retry-After, X-Request-Id, Idempotency-Replayed, RateLimit, RateLimit-Policy, WWW-Authenticate, Deprecation, Sunset, Link"

    func handle(
        _ request: Request, context: OpenContext, next: (Request, OpenContext) async throws -> Response
    ) async throws -> Response {
        guard origins != .none else { return try await next(request, context) }
        let origin = request.headers[.origin].flatMap { origins.allows($0) ? $0 : nil }
        if let origin, let preflight = preflight(request, origin) { return preflight }
        var response = try await next(request, context)
        vary(&response, "Origin")
        if let origin {
            allow(origin, &response)
            response.headers[.accessControlExposeHeaders] = Self.exposedHeaders
        }
        return response
    }

    /// nil when it is none, or asks for what is no route: that is answered like any other request.
    private func preflight(_ request: Request, _ origin: String) -> Response? {
        guard request.method == .options, request.headers[.accessControlRequestMethod] != nil else { return nil }
        let methods = RouteTable.methods(forPath: request.uri.path)
        guard !methods.isEmpty else { return nil }
        var response = Answer.noContent()
        vary(&response, "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        allow(origin, &response)
        response.headers[.accessControlAllowMethods] = methods.map(\.rawValue).joined(separator: ", ")
        response.headers[.accessControlAllowHeaders] = Self.allowedHeaders
        response.headers[.accessControlMaxAge] = String(Limits.corsMaxAgeSeconds)
        return response
    }

    private func allow(_ origin: String, _ response: inout Response) {
        response.headers[.accessControlAllowOrigin] = origins == .any ? "*" : origin
    }

    /// Where every origin gets the same, caches need not tell them apart.
    private func vary(_ response: inout Response, _ fields: String) {
        guard origins != .any else { return }
        response.headers.append(HTTPField(name: .vary, value: fields))
    }
}
