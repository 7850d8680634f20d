import Domain
import Hummingbird
import JSON
import Logging
import Postgres

/// The one place where a failure becomes an answer. What the caller may know is in the answer; the cause is in the log alone.
struct ErrorTranslator: RouterMiddleware {
    func handle(
        _ request: Request, context: OpenContext, next: (Request, OpenContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as ConnectionAnswered {
            // An answer from here would be a second one.
            throw error
        } catch {
            let failure = Self.translate(error, request)
            log(failure.error, context)
            var response = Problem(failure.error, requestID: context.requestID).response()
            if let allow = failure.allow { response.headers[.allow] = allow }
            context.tenant.rates?.add(to: &response.headers)
            // A client takes no body after HEAD: the bytes would be the beginning of the next answer.
            return request.method == .head ? response.createHeadResponse() : response
        }
    }

    private func log(_ error: GatewayError, _ context: OpenContext) {
        guard error.status >= 500 || error.cause != nil else { return }
        context.requestLogger.log(
            level: error.status >= 500 ? .error : .info, "request failed",
            metadata: [
                "code": .string(error.code), "route": .string(context.route),
                "cause": .string(error.cause ?? error.detail),
            ])
    }

    private static func translate(_ error: any Error, _ request: Request) -> (error: GatewayError, allow: String?) {
        switch error {
        case let error as GatewayError: (error, nil)
        case let error as JSONViolation: (.invalidBody(error), nil)
        case let error as JSONError: (.malformedJSON(error), nil)
        case let error as PostgresError: (translate(error), nil)
        case let error as HTTPError where error.status == .notFound: unrouted(request)
        case let error as HTTPError:
            (
                GatewayError(
                    status: error.status.code, code: error.status.code >= 500 ? "internal" : "bad_request",
                    detail: error.status.code >= 500 ? "The gateway failed on this request." : error.body ?? error.status.reasonPhrase,
                    cause: error.description), nil
            )
        case is CancellationError:
            (.unavailable("The gateway is shutting down; send the request again.", cause: "cancelled"), nil)
        default: (.internal(String(reflecting: error)), nil)
        }
    }

    /// 405 where the path is known under another method, 404 for everything else.
    private static func unrouted(_ request: Request) -> (GatewayError, String?) {
        let methods = RouteTable.methods(forPath: request.uri.path)
        guard !methods.isEmpty else {
            let detail = "There is no such route; GET /openapi.yaml lists all of them."
            return (GatewayError(status: 404, code: "route_not_found", detail: detail), nil)
        }
        let allow = methods.map(\.rawValue).joined(separator: ", ")
        let detail = "This path does not take \(request.method.rawValue); it takes \(allow)."
        return (GatewayError(status: 405, code: "method_not_allowed", detail: detail), allow)
    }

    static func translate(_ error: PostgresError) -> GatewayError {
        let cause = String(reflecting: error)
        switch error.code {
        case .connection, .queueFull, .shutDown, .canceled:
            return .unavailable("The database cannot be reached just now; send the request again.", cause: cause)
        case .turn:
            return .unavailable(
                "Too many lists, or changes of several parts, are under way, and the turn of this one did not come in time; send the request "
                    + "again when some have ended.", cause: cause)
        case .scopeQueueFull:
            return .unavailable(
                "Too many lists, or changes of several parts, of this tenant wait already; send the request again when some have ended.",
                cause: cause)
        // The statement's time is over, or an operator ended it.
        case .timeout:
            return .unavailable(
                "The database took too long over this; ask for less, by a filter or a time, or send it again.", cause: cause)
        case .server:
            // Connection exception, insufficient resources, operator intervention, serialization failure, deadlock and a lock waited
            // for in vain.
            let state = error.sqlState ?? ""
            let isTransient = ["08", "53", "57"].contains { state.hasPrefix($0) } || ["40001", "40P01", "55P03"].contains(state)
            return isTransient ? .unavailable("The database is busy; send the request again.", cause: cause) : .internal(cause)
        case .tooLarge, .decoding, .configuration: return .internal(cause)
        }
    }
}
