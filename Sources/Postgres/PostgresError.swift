/// The one error of this module. `description` shows no data; `String(reflecting:)` adds the server's detail.
public struct PostgresError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    public enum Code: Sendable, Equatable {
        /// The server refused the statement; `sqlState` says why.
        case server
        /// No connection, or it was lost.
        case connection
        /// The calling task was cancelled.
        case canceled
        /// Too much is waiting already.
        case queueFull
        /// Too much of the same scope is waiting already.
        case scopeQueueFull
        /// A parameter or a result is over its bound.
        case tooLarge
        /// A value does not have the asked-for type, or cannot be sent as its type.
        case decoding
        /// The configuration or the way of the call is wrong.
        case configuration
        case shutDown
        /// The server's statement timeout.
        case timeout
        /// Its turn at the connections that callers share did not come in time; Postgres itself may be well. Nothing was sent.
        case turn
    }

    public let code: Code
    /// Five characters, only from the server.
    public let sqlState: String?
    public let message: String
    /// Name of the violated constraint, if the server named one.
    public let constraint: String?
    /// The server's DETAIL. It may hold values of rows, so it is not part of `description`.
    public let detail: String?
    /// The statement may have been executed and committed.
    public let mayHaveRun: Bool

    public init(
        _ code: Code, _ message: String, sqlState: String? = nil, constraint: String? = nil, detail: String? = nil,
        mayHaveRun: Bool = false
    ) {
        self.code = code
        self.sqlState = sqlState
        self.message = message
        self.constraint = constraint
        self.detail = detail
        self.mayHaveRun = mayHaveRun
    }

    public var description: String {
        var text = "postgres \(code)"
        if let sqlState { text += " \(sqlState)" }
        text += ": \(message)"
        if let constraint { text += " (constraint \(constraint))" }
        if mayHaveRun { text += " [may have run]" }
        return text
    }

    public var debugDescription: String {
        detail.map { "\(description) detail: \($0)" } ?? description
    }
}
