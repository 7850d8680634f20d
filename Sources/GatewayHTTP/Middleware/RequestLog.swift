import Domain
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Runtime
import Synchronization

/// Names each request, and writes one line when it is over: the route's template, never the query, which may hold a token. A stream is
/// over when it ends, which the line says with how.
struct RequestLog: RouterMiddleware {
    private let answered: [MetricCounter]
    private let logger: Logger
    /// Where the log is one that takes a line whole.
    private let lines: (any RequestLineLog)?
    private let proxies: TrustedProxies
    private let ids = RequestIDs()

    init(metrics: MetricsRegistry, proxies: TrustedProxies, logger: Logger) {
        self.logger = logger
        lines = logger.handler as? any RequestLineLog
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
        context.traceparent = request.headers[.traceparent].flatMap { $0.utf8.count <= 128 && !Self.holdsCredential($0) ? $0 : nil }
        if !proxies.isEmpty {
            context.proxies = proxies
            context.forwardedFor = Self.forwardedFor(request)
        }
        let isLogged = logger.logLevel <= .info
        let start = isLogged ? NIODeadline.now() : nil
        var response: Response
        do { response = try await next(request, context) } catch {
            // The connection was answered below, or has gone: nobody hears an answer from here.
            let status = (error as? ConnectionAnswered)?.status ?? ConnectionAnswered.clientGone.status
            count(status)
            if let start { log(request, context, status, start) }
            throw error
        }
        response.headers.append(HTTPField(name: .xRequestID, value: context.requestID))
        count(response.status.code)
        if let start {
            if response.body.contentLength == nil {
                logWhenOver(request, context, &response, start)
            } else {
                log(request, context, response.status.code, start)
            }
        }
        return response
    }

    private func count(_ status: Int) { answered[max(1, min(5, status / 100)) - 1].add() }

    private func logWhenOver(_ request: Request, _ context: OpenContext, _ response: inout Response, _ start: NIODeadline) {
        let body = response.body
        let status = response.status.code
        response.body = ResponseBody { [self] writer in
            do { try await body.write(writer) } catch {
                log(request, context, status, start, ended: "cut")
                throw error
            }
            log(request, context, status, start, ended: "whole")
        }
    }

    private func log(_ request: Request, _ context: OpenContext, _ status: Int, _ start: NIODeadline, ended: String? = nil) {
        let line = RequestLine(
            method: request.method.rawValue, route: context.route, status: status,
            microseconds: (NIODeadline.now() - start).nanoseconds / 1000, requestID: context.requestID,
            address: context.clientAddress, tenant: context.tenant.tenantID, traceparent: context.traceparent, ended: ended)
        if let lines { lines.log(line) } else { logger.info("request", metadata: line.metadata) }
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

    /// A credential that was put into a header by mistake must not come into the log.
    static func holdsCredential(_ text: String) -> Bool { ["hsk_", "hse_", "hrt_"].contains(where: text.contains) }

    /// `[A-Za-z0-9._-]{1,128}`: what may be repeated in a header and in a log.
    static func isSane(_ id: String) -> Bool {
        (1...128).contains(id.utf8.count) && !holdsCredential(id)
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
