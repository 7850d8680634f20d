/// What went wrong with a command or a connection. `message` is for logs: it may hold a server's own words, never a password.
public struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The server answered with an error reply; `message` is that reply.
        case server
        /// There is no connection, or it was lost before the reply came.
        case connection
        /// The bound in commands or in bytes is reached; nothing was sent.
        case queueFull
        /// No reply within the time given.
        case timeout
        /// The URL or an option cannot be used.
        case configuration
        /// The client was shut down.
        case shutDown
        /// The server sent what is not RESP2, or more than the bounds allow.
        case protocolViolation
        /// The waiting task was cancelled.
        case canceled
    }

    public let code: Code
    public let message: String
    /// The command may have had its effect: it left for the server, and how it ended is not known.
    public let mayHaveRun: Bool

    public init(code: Code, message: String, mayHaveRun: Bool = false) {
        self.code = code
        self.message = message
        self.mayHaveRun = mayHaveRun
    }

    public var description: String { "redis \(code.rawValue): \(message)" }

    /// The same fault, told to a caller whose command did (or did not) leave.
    func asLoss(mayHaveRun: Bool) -> RedisError {
        let code: Code = [.shutDown, .protocolViolation].contains(self.code) ? self.code : .connection
        return RedisError(code: code, message: message, mayHaveRun: mayHaveRun)
    }
}
