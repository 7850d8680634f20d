import Domain
import Logging
import NIOCore
import Runtime
import Synchronization

/// Lines about what ended below HTTP, where no request has a line of its own: at most `Limits.maxRefusalLinesPerSecond`, for whoever
/// floods the port must not fill the disk. Every one is counted.
final class RefusalLog: Sendable {
    enum Kind: String, CaseIterable {
        case malformed, timeout
        case uriTooLong = "uri_too_long"
        case headersTooLarge = "headers_too_large"
        case handshakeFailed = "tls_handshake_failed"
        case handshakeTimeout = "tls_handshake_timeout"
        case stalled = "client_stalled"
        case addressConnections = "too_many_connections_of_address"
    }

    private struct Second {
        var start = ContinuousClock.now
        var lines = 0
        var suppressed = 0
    }

    private let second = Mutex(Second())
    private let counters: [Kind: MetricCounter]
    private let logger: Logger

    init(metrics: MetricsRegistry, logger: Logger) {
        self.logger = logger
        counters = Dictionary(
            uniqueKeysWithValues: Kind.allCases.map { kind in
                let help = "Connections ended below HTTP, by reason."
                return (kind, metrics.counter("hsafa_connections_refused_total", help: help, labels: [("reason", kind.rawValue)]))
            })
    }

    func note(_ kind: Kind, _ address: SocketAddress?, status: Int? = nil, cause: String? = nil) {
        counters[kind]?.add()
        guard logger.logLevel <= .info, let suppressed = takeLine() else { return }
        var metadata: Logger.Metadata = ["reason": .string(kind.rawValue), "address": .string(address?.ipAddress ?? "unknown")]
        if let status { metadata["status"] = .stringConvertible(status) }
        if let cause { metadata["cause"] = .string(String(cause.prefix(200))) }
        if suppressed > 0 { metadata["suppressedBefore"] = .stringConvertible(suppressed) }
        logger.info("connection refused", metadata: metadata)
    }

    /// nil when this second's lines are spent; else how many were kept back since the last line.
    private func takeLine() -> Int? {
        let now = ContinuousClock.now
        return second.withLock { second in
            if now - second.start >= .seconds(1) {
                second.start = now
                second.lines = 0
            }
            guard second.lines < Limits.maxRefusalLinesPerSecond else {
                second.suppressed += 1
                return nil
            }
            second.lines += 1
            defer { second.suppressed = 0 }
            return second.suppressed
        }
    }
}
