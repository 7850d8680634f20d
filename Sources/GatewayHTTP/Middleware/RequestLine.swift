public import Domain
import Logging

/// A log that writes the line of a request by itself: there is one for each request, and a dictionary of metadata costs more than the rest.
public protocol RequestLineLog: Sendable {
    func log(_ line: RequestLine)
}

/// What is logged of a request when it is over. No member holds what a client chose freely but `requestID` (which is checked) and
/// `traceparent` (which may be anything but a credential).
public struct RequestLine: Sendable {
    public let method: String
    /// The template, never the path.
    public let route: String
    public let status: Int
    public let microseconds: Int64
    public let requestID: String
    public let address: IPAddress?
    public let tenant: TenantID?
    public let traceparent: String?
    /// Of a stream: how.
    public let ended: String?

    /// In the order of their names, as every line has its fields. `ms` has three decimals.
    public func fields(_ write: (_ name: StaticString, _ value: String) -> Void) {
        if let address { write("address", address.description) }
        write("method", method)
        write("ms", milliseconds)
        write("requestId", requestID)
        write("route", route)
        write("status", String(status))
        if let ended { write("stream", ended) }
        if let tenant { write("tenant", tenant.description) }
        if let traceparent { write("traceparent", traceparent) }
    }

    /// For other logs.
    var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = [:]
        fields { metadata["\($0)"] = .string($1) }
        return metadata
    }

    private var milliseconds: String {
        let rest = String(max(0, microseconds) % 1000)
        return "\(max(0, microseconds) / 1000).\(String(repeating: "0", count: 3 - rest.utf8.count))\(rest)"
    }
}
