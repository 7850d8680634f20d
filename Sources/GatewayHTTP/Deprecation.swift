import Domain
import HTTPTypes
import Hummingbird

/// An operation that will go: what its answers say of it. `openapi.yaml` says `deprecated: true` then, which a test compares, and
/// docs/VERSIONING.md what callers may count on.
struct Deprecation: Sendable, Equatable {
    /// Since when it is deprecated.
    let since: Timestamp
    /// When it stops answering; nil: not decided.
    let sunset: Timestamp?
    /// Where it is said what to use instead: an absolute URL or a path of this server.
    let notice: String

    /// `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and the link to the notice (RFC 8288), on good and bad answers alike.
    func add(to headers: inout HTTPFields) {
        headers[.deprecation] = "@\(since.secondsSinceUnixEpoch)"
        if let sunset { headers[.sunset] = sunset.httpDate }
        headers.append(HTTPField(name: .link, value: "<\(notice)>; rel=\"deprecation\"; type=\"text/html\""))
    }
}

extension HTTPField.Name {
    static let deprecation = known("Deprecation")
    static let sunset = known("Sunset")
    static let link = known("Link")
}

/// Adds them to the answers of deprecated operations. Stands outside of the error translation, so that failures have them too, and is not
/// there at all while nothing is deprecated.
struct DeprecationNotices: RouterMiddleware {
    private struct Row: Hashable {
        let method: HTTPRequest.Method
        let path: String
    }
    private let deprecations: [Row: Deprecation]

    var isEmpty: Bool { deprecations.isEmpty }

    init(_ routes: [Route]) {
        var deprecations: [Row: Deprecation] = [:]
        for route in routes {
            guard let deprecation = route.deprecation else { continue }
            deprecations[Row(method: route.method, path: route.path)] = deprecation
            if route.method == .get { deprecations[Row(method: .head, path: route.path)] = deprecation }
        }
        self.deprecations = deprecations
    }

    func handle(
        _ request: Request, context: OpenContext, next: (Request, OpenContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        // Known once the router has found the route.
        deprecations[Row(method: request.method, path: context.route)]?.add(to: &response.headers)
        return response
    }
}

extension Timestamp {
    /// Whole seconds, rounded down.
    var secondsSinceUnixEpoch: Int64 { Int64((Double(millisecondsSinceUnixEpoch) / 1000).rounded(.down)) }

    /// IMF-fixdate (RFC 9110 §5.6.7), e.g. `Sun, 06 Nov 1994 08:49:37 GMT`.
    var httpDate: String {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        // 1 January 1970 was a Thursday.
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let days = (Double(secondsSinceUnixEpoch) / 86_400).rounded(.down)
        let weekday = (Int(days) % 7 + 7) % 7
        // `2026-11-22T09:30:00.125Z`: every part at its place.
        let text = Array(description)
        let month = Int(String(text[5..<7])) ?? 1
        return "\(weekdays[weekday]), \(String(text[8..<10])) \(months[month - 1]) \(String(text[0..<4])) \(String(text[11..<19])) GMT"
    }
}
