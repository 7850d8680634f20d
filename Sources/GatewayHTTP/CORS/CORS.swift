import Domain
import HTTPTypes
import Hummingbird

/// Cross-origin requests of browsers (Fetch §3.2). Stands outside of the error translation, so that a page can read failures too. An
/// origin that is not allowed gets the answer without the headers that would let a page read it. Routes that take run tokens are open to
/// every origin, whatever the configuration says of the others.
struct CORS: RouterMiddleware {
    let origins: CORSOrigins

    private static let allowedHeaders =
        "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id, traceparent, tracestate"
    private static let exposedHeaders =
        "Location, Retry-After, X-Request-Id, Idempotency-Replayed, RateLimit, RateLimit-Policy, WWW-Authenticate, Deprecation, Sunset, Link"

    func handle(
        _ request: Request, context: OpenContext, next: (Request, OpenContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin] else { return withoutOrigin(try await next(request, context)) }
        let asked = Self.askedMethod(request)
        // What takes run tokens is for pages, wherever they come from: a token opens one run, and no cookie goes with it.
        let forPages = RouteTable.methodsForPages(path: request.uri.path)
        let isForPages = forPages.contains(asked ?? (request.method == .head ? .get : request.method))
        let allowed = isForPages || origins == .any ? "*" : origins.allows(origin) ? origin : nil
        if let allowed, asked != nil {
            let methods = isForPages ? forPages : RouteTable.methods(forPath: request.uri.path)
            // What is no route is answered like any other request.
            if !methods.isEmpty { return preflight(allowed, methods) }
        }
        var response = try await next(request, context)
        if allowed != "*" { vary(&response, "Origin") }
        if let allowed {
            response.headers[.accessControlAllowOrigin] = allowed
            response.headers[.accessControlExposeHeaders] = Self.exposedHeaders
        }
        return response
    }

    /// nil when it is no preflight.
    private static func askedMethod(_ request: Request) -> HTTPRequest.Method? {
        guard request.method == .options, let method = request.headers[.accessControlRequestMethod] else { return nil }
        return HTTPRequest.Method(method) ?? .options
    }

    private func preflight(_ allowed: String, _ methods: [HTTPRequest.Method]) -> Response {
        var response = Answer.noContent()
        if allowed != "*" { vary(&response, "Origin, Access-Control-Request-Method, Access-Control-Request-Headers") }
        response.headers[.accessControlAllowOrigin] = allowed
        response.headers[.accessControlAllowMethods] = methods.map(\.rawValue).joined(separator: ", ")
        response.headers[.accessControlAllowHeaders] = Self.allowedHeaders
        response.headers[.accessControlMaxAge] = String(Limits.corsMaxAgeSeconds)
        return response
    }

    private func withoutOrigin(_ response: Response) -> Response {
        var response = response
        vary(&response, "Origin")
        return response
    }

    /// Where every origin gets the same, caches need not tell them apart.
    private func vary(_ response: inout Response, _ fields: String) {
        guard case .list = origins else { return }
        response.headers.append(HTTPField(name: .vary, value: fields))
    }
}
