/// Cost of one hash (RFC 9106); the defaults are OWASP's for argon2id: 19 MiB, two passes, one lane.
public struct Argon2Parameters: Sendable, Equatable {
    public var memoryKiB: Int
    public var iterations: Int
    /// Lanes; with libargon2 each beyond the first is a thread of its own while the hash runs.
    public var parallelism: Int
    public var saltBytes: Int
    public var tagBytes: Int

    public init(memoryKiB: Int = 19_456, iterations: Int = 2, parallelism: Int = 1, saltBytes: Int = 16, tagBytes: Int = 32) {
        self.memoryKiB = memoryKiB
        self.iterations = iterations
        self.parallelism = parallelism
        self.saltBytes = saltBytes
        self.tagBytes = tagBytes
    }
}

public enum PasswordHasherError: Error, Sendable, Equatable {
    /// As many callers wait as may.
    case overloaded
    /// Not a PHC string of argon2id version 19 within the accepted costs.
    case malformedHash
    /// libargon2's text.
    case failed(String)
    case shutDown
}
