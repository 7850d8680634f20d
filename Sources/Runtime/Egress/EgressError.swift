import Domain

/// Why a request did not leave, or came to no answer.
public struct EgressError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The URL cannot be read in one way alone.
        case invalidURL = "invalid_url"
        /// Policy: the host, or an address that its name stands for.
        case denied = "egress_denied"
        case unresolved = "host_not_found"
        case unreachable
        case timeout
        case redirect = "redirect_refused"
        case busy = "egress_busy"
    }

    public let code: Code
    /// For tenants and models; holds no address that a name was resolved to.
    public let message: String
    /// For logs alone.
    public let cause: String

    public init(_ code: Code, _ message: String, cause: String = "") {
        self.code = code
        self.message = message
        self.cause = cause
    }

    public var description: String { cause.isEmpty ? "\(code.rawValue): \(message)" : "\(code.rawValue): \(message) (\(cause))" }

    /// The same request may succeed later.
    public var mayPass: Bool { code == .unresolved || code == .unreachable || code == .timeout || code == .busy }

    static let busy = EgressError(.busy, "The gateway sends too many requests at once; try again.")

    static func unresolved(_ name: String) -> EgressError { EgressError(.unresolved, "The host \(name) was not found.") }

    static func refused(_ refusal: EgressRefusal, _ url: OutboundURL) -> EgressError {
        EgressError(.denied, "The host \(url.host) \(refusal.message).", cause: "\(refusal)")
    }
}
