public import Logging

/// Bounds and retries of calls to model vendors.
public struct ModelCallOptions: Sendable {
    /// Longest silence of the server, before the response's head and between two pieces of its body. Time that `emit` takes does not count.
    public var idleTimeout: Duration
    /// The whole call with all its attempts and pauses.
    public var totalTimeout: Duration
    public var retry: ModelRetryPolicy
    /// Text, reasoning and arguments of one answer, each.
    public var maxAccumulatedBytes: Int
    /// One line, or the data of one event, of the stream.
    public var maxEventBytes: Int
    public var maxErrorBodyBytes: Int
    public var maxToolCalls: Int
    public var logger: Logger

    public init(
        idleTimeout: Duration = .seconds(120), totalTimeout: Duration = .seconds(600), retry: ModelRetryPolicy = ModelRetryPolicy(),
        maxAccumulatedBytes: Int = 1 << 20, maxEventBytes: Int = 2 << 20, maxErrorBodyBytes: Int = 64 << 10, maxToolCalls: Int = 128,
        logger: Logger = Logger(label: "hsafa.models")
    ) {
        self.idleTimeout = idleTimeout
        self.totalTimeout = totalTimeout
        self.retry = retry
        self.maxAccumulatedBytes = maxAccumulatedBytes
        self.maxEventBytes = maxEventBytes
        self.maxErrorBodyBytes = maxErrorBodyBytes
        self.maxToolCalls = maxToolCalls
        self.logger = logger
    }
}

/// When a failed call is made again: only before its first delta, and only if the failure may pass.
public struct ModelRetryPolicy: Sendable {
    public var maxRetries: Int
    public var baseDelay: Duration
    public var maxDelay: Duration
    /// A longer `retry-after` is not waited for here but given to the caller with the error.
    public var maxRetryAfter: Duration

    public init(
        maxRetries: Int = 2, baseDelay: Duration = .milliseconds(500), maxDelay: Duration = .seconds(8),
        maxRetryAfter: Duration = .seconds(30)
    ) {
        self.maxRetries = maxRetries
        self.baseDelay = baseDelay
        self.maxDelay = maxDelay
        self.maxRetryAfter = maxRetryAfter
    }

    /// The pause before the next attempt, nil to give up. `retries` were made already; `jitter` is within 0...1 and takes up to a quarter off.
    func delay(after error: ModelError, retries: Int, jitter: Double) -> Duration? {
        guard error.isRetryable, !error.hasEmitted, retries < maxRetries else { return nil }
        if let milliseconds = error.retryAfterMilliseconds {
            let wanted = Duration.milliseconds(milliseconds)
            return wanted <= maxRetryAfter ? wanted : nil
        }
        // The exponent is bounded so that a large `maxRetries` cannot overflow.
        let exponential = baseDelay * (1 << min(retries, 16))
        return min(exponential, maxDelay) * (1 - 0.25 * jitter)
    }
}
