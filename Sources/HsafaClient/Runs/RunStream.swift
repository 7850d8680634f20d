/// A run's events in order, from `since` (exclusive) to the terminal one, over as many connections as it takes.
///
/// Pulled by its reader: what is not read stays in the socket. Throws `HsafaClientError` or `CancellationError`.
public struct RunStream: AsyncSequence, Sendable {
    public struct Options: Sendable {
        /// Connections in a row that gave no event.
        public var maxFailures = 20
        /// The same before anything ever worked: a wrong address should be told soon.
        public var maxFailuresAtStart = 3
        public var backOff = BackOff()
        public var maxEventBytes = 32 << 20

        public init() {}
    }

    public enum Notice: Sendable {
        case connected(after: Int?)
        case interrupted(reason: String, retryIn: Duration, attempt: Int)
        /// Retention dropped what was asked for; the stream goes on with `earliest`.
        case gap(requested: Int, earliest: Int, latest: Int)
    }

    public typealias Element = RunEvent

    let client: HsafaClient
    let runId: String
    let since: Int?
    let options: Options
    let onNotice: @Sendable (Notice) -> Void

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}
