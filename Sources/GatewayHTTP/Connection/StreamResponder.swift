import Hummingbird

/// Answers as the router does, and spares memory: a task keeps what its deepest frames ever took until it ends (the runtime's stack
/// allocator gives nothing back before), and the task of a stream lives for hours. So the way to a stream's first byte runs in a child,
/// which ends with it; other requests are not worth one.
struct StreamResponder<Router: HTTPResponder>: HTTPResponder where Router.Context: Sendable {
    let router: Router

    func respond(to request: Request, context: Router.Context) async throws -> Response {
        guard request.uri.path.hasSuffix("/stream") else { return try await router.respond(to: request, context: context) }
        async let response = router.respond(to: request, context: context)
        return try await response
    }
}
