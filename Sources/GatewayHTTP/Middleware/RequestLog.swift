import Domain
import HTTPTypes
import Hummingbird
import Logging
import Runtime
import Synchronization

/// Names each request, and writes one line when it has been answered: the route's template, never the query, which may hold a token.
struct RequestLog: RouterMiddleware {
    private let answered: [MetricCounter]
    private let logger: Logger
    private let proxies: TrustedProxies
    private let ids = RequestIDs()

    init(metrics: MetricsRegistry, proxies: TrustedProxies, logger: Logger) {
        self.logger = logger
        self.proxies = proxies
        answered = ["1xx", "2xx", "3xx", "4xx", "5xx"].map {
            metrics.counter("hsafa_http_requests_total", help: "Requests answered, by class of status.", labels: [("status", $0)])
        }
    }

    func handle(
        _ request: Request, context: OpenContext, next: (Request, OpenContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = request.headers[.xRequestID].flatMap { Self.isSane($0) ? $0 : nil } ?? ids.next()
        context.traceparent = request.headers[.traceparent].flatMap { $0.utf8.count <= 128 ? $0 : nil }
        if !proxies.isEmpty {
            context.proxies = proxies
            context.forwardedFor = Self.forwardedFor(request)
        }
        let isLogged = logger.logLevel <= .info
        let start = isLogged ? ContinuousClock.now : nil
        var response = try await next(request, context)
        response.headers.append(HTTPField(name: .xRequestID, value: context.requestID))
        answered[max(1, min(5, response.status.code / 100)) - 1].add()
        if let start { log(request, context, response, start) }
        return response
    }

    private func log(_ request: Request, _ context: OpenContext, _ response: Response, _ start: ContinuousClock.Instant) {
        let elapsed = (ContinuousClock.now - start).components
        let milliseconds = Double(elapsed.seconds) * 1000 + Double(elapsed.attoseconds / 1_000_000_000_000) / 1000
        var metadata: Logger.Metadata = [
            "method": .string(request.method.rawValue), "route": .string(context.endpointPath ?? "none"),
            "status": .stringConvertible(response.status.code), "ms": .stringConvertible(milliseconds),
            "requestId": .string(context.requestID),
        ]
        if let address = context.clientAddress { metadata["address"] = .string(address.description) }
        if let tenant = context.tenant.tenantID { metadata["tenant"] = .string(tenant.description) }
        if let traceparent = context.traceparent { metadata["traceparent"] = .string(traceparent) }
        logger.info("request", metadata: metadata)
    }

    /// The fields nearest to the gateway, within a bound: what is left of them the client may have written.
    private static func forwardedFor(_ request: Request) -> [String] {
        var bytes = 0
        var values: [String] = []
        for value in request.headers[values: .xForwardedFor].reversed() {
            bytes += value.utf8.count
            guard bytes <= Limits.maxForwardedForBytes else { break }
            values.append(value)
        }
        return values.reversed()
    }

    /// `[A-Za-z0-9._-]{1,128}`: what may be repeated in a header and in a log.
    static func isSane(_ id: String) -> Bool {
        (1...128).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: ".")
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
            }
    }
}

/// Ids that no other process makes: a random part of this process, then a count.
private final class RequestIDs: Sendable {
    private let prefix = String(UInt64.random(in: 1 << 60 ... .max), radix: 36)
    private let count = Atomic<UInt64>(0)

    func next() -> String { "\(prefix)-\(String(count.wrappingAdd(1, ordering: .relaxed).newValue, radix: 36))" }
}

extension HTTPField.Name {
    // Literals that are valid names; the initializer fails for others only.
    private static func known(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .init("X-Unnamed") ?? .range }

    static let xRequestID = known("X-Request-Id")
    static let xForwardedFor = known("X-Forwarded-For")
    static let traceparent = known("traceparent")
    static let xContentTypeOptions = known("X-Content-Type-Options")
    static let secWebSocketVersion = known("Sec-WebSocket-Version")
    static let secWebSocketProtocol = known("Sec-WebSocket-Protocol")
    static let secWebSocketKey = known("Sec-WebSocket-Key")
}
