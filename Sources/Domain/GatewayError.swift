public import JSON

/// What went wrong, in two texts: `detail` is public and says what to do, `cause` is for logs alone.
public struct GatewayError: Error, Sendable, CustomStringConvertible {
    /// HTTP status, RFC 9110 §15.
    public let status: Int
    /// Stable, snake_case; clients may switch on it.
    public let code: String
    public let detail: String
    /// Where in the body, RFC 6901.
    public let violations: [JSONViolation]
    public let cause: String?
    public let retryAfterSeconds: Int?

    public init(
        status: Int, code: String, detail: String, violations: [JSONViolation] = [], cause: String? = nil, retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.violations = violations
        self.cause = cause
        self.retryAfterSeconds = retryAfterSeconds
    }

    public var description: String { "\(status) \(code): \(detail)" + (cause.map { " (\($0))" } ?? "") }
}

extension GatewayError {
    public static let noMasterKey = GatewayError(
        status: 503, code: "no_master_key", detail: "This gateway keeps no secrets: its operator has to set MASTER_KEY.")

    public static func malformedJSON(_ error: JSONError) -> GatewayError {
        GatewayError(
            status: 400, code: "malformed_json", detail: "The body is not valid JSON (RFC 8259, UTF-8): \(error).",
            violations: [error.violation])
    }

    public static func invalidBody(_ violation: JSONViolation) -> GatewayError { invalidBody([violation]) }

    public static func invalidBody(_ violations: [JSONViolation]) -> GatewayError {
        let first = violations.first.map { " \($0.pointer.isEmpty ? "The body" : $0.pointer) \($0.message)." } ?? ""
        return GatewayError(
            status: 422, code: "invalid_body", detail: "The body does not fit this operation's schema.\(first)", violations: violations)
    }

    public static func invalidQuery(_ name: String, _ message: String) -> GatewayError {
        GatewayError(status: 400, code: "invalid_query", detail: "Query parameter \(name) \(message).")
    }

    public static func invalidHeader(_ name: String, _ message: String) -> GatewayError {
        GatewayError(status: 400, code: "invalid_header", detail: "Header \(name) \(message).")
    }

    /// The same answer for what does not exist and for what belongs to another tenant.
    public static func notFound(_ what: String) -> GatewayError {
        GatewayError(status: 404, code: "\(what)_not_found", detail: "There is no such \(what.replacing("_", with: " ")) here.")
    }

    public static let unauthorized = GatewayError(
        status: 401, code: "unauthorized", detail: "Send a valid API key as `Authorization: Bearer hsk_…`.")

    public static func missingScope(_ scope: Scope) -> GatewayError {
        GatewayError(
            status: 403, code: "missing_scope", detail: "This key lacks the scope \(scope.rawValue); use a key that was issued with it.")
    }

    /// Nothing tells a token that was never good from one that is over.
    public static let noRunToken = GatewayError(
        status: 401, code: "unauthorized",
        detail: "This run token is not good, or not any more: it ends with its time, its run, and the key that made it. Ask for a new one.")

    public static func missingGrant(_ grant: RunTokenGrant) -> GatewayError {
        GatewayError(
            status: 403, code: "missing_grant",
            detail: "This run token was not given \(grant.rawValue); use one that was made with it.")
    }

    public static let adminRequired = GatewayError(
        status: 403, code: "admin_required", detail: "This is for the platform's admins; their keys are made on the gateway's own machine.")

    public static let tenantSuspended = GatewayError(
        status: 403, code: "tenant_suspended", detail: "This tenant is suspended; ask the operator of the gateway to resume it.")

    public static func scopesBeyondIssuer(_ scopes: Set<Scope>) -> GatewayError {
        let names = scopes.map(\.rawValue).sorted().joined(separator: ", ")
        return GatewayError(
            status: 403, code: "scopes_beyond_issuer", detail: "A key can hand out only what it has; this one lacks \(names).")
    }

    public static func expiryBeyondIssuer(_ expiry: Timestamp) -> GatewayError {
        GatewayError(
            status: 403, code: "expiry_beyond_issuer",
            detail: "A key can be good no longer than the one that hands it out, which expires at \(expiry).")
    }

    public static func tooManyFailures(retryAfterSeconds: Int) -> GatewayError {
        GatewayError(
            status: 429, code: "too_many_failures",
            detail: "Too many wrong keys came from this address; wait, and send a valid one.", retryAfterSeconds: retryAfterSeconds)
    }

    public static func conflict(_ code: String, _ detail: String) -> GatewayError {
        GatewayError(status: 409, code: code, detail: detail)
    }

    public static func unavailable(_ detail: String, cause: String, retryAfterSeconds: Int = 1) -> GatewayError {
        GatewayError(status: 503, code: "unavailable", detail: detail, cause: cause, retryAfterSeconds: retryAfterSeconds)
    }

    public static func `internal`(_ cause: String) -> GatewayError {
        GatewayError(
            status: 500, code: "internal", detail: "The gateway failed on this request; its log has the cause under this request id.",
            cause: cause)
    }

    public static func tooLarge(_ what: String, maxBytes: Int) -> GatewayError {
        GatewayError(status: 413, code: "too_large", detail: "\(what) is larger than \(maxBytes) bytes; send less.")
    }
}
