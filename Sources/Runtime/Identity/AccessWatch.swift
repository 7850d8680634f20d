import Domain
import Logging
import Redis
import Storage
import Synchronization

/// Hears of keys and run tokens that were revoked or rotated and of tenants that were suspended or resumed, here or on any replica, and tells those
/// who hold something under them. A message makes it look at once, within a second everywhere; behind the message stands a poll. Both
/// read the same rows, and each read reaches back before the last one, so that neither a lost message nor a late commit is missed.
final class AccessWatch: Sendable {
    private let credentials: Credentials
    private let cache: PrincipalCache
    private let subscriber: RedisSubscriber
    private let wakeups: Wakeups
    private let apply: @Sendable (AccessChanges) -> Void
    private let tick: @Sendable () -> Void
    private let interval: Duration
    private let logger: Logger
    private let look = Signal()
    private let since = Mutex<Timestamp?>(nil)
    let polls: MetricCounter

    /// - Parameters:
    ///   - interval: between looks when nothing is heard.
    ///   - apply: tells everybody who must hear; changes may come again, and in any order.
    ///   - tick: after each look.
    init(
        database: Database, cache: PrincipalCache, subscriber: RedisSubscriber, wakeups: Wakeups, interval: Duration,
        metrics: MetricsRegistry, logger: Logger, apply: @escaping @Sendable (AccessChanges) -> Void, tick: @escaping @Sendable () -> Void
    ) {
        credentials = Credentials(database)
        self.cache = cache
        self.subscriber = subscriber
        self.wakeups = wakeups
        self.interval = interval
        self.apply = apply
        self.tick = tick
        self.logger = logger
        polls = metrics.counter("hsafa_access_polls_total", help: "Looks at what changed about keys and tenants.")
    }

    /// A change of this process has been committed: it holds here when this returns, and elsewhere a message later.
    func committed(_ changes: AccessChanges) {
        cache.apply(changes)
        apply(changes)
        wakeups.keysChanged()
        // Where Redis is away nobody else hears; here the poll confirms it.
        look.raise()
    }

    func run() async {
        // Also at each `subscribed`: what was published before it was not heard.
        let subscription = subscriber.subscribe(RedisKeys.keysChanged) { [look] _ in look.raise() }
        defer { subscription.cancel() }
        await withDiscardingTaskGroup { group in
            group.addTask {
                repeat { self.look.raise() } while (try? await Task.sleep(for: self.interval)) != nil
            }
            while !Task.isCancelled {
                await look.wait()
                if Task.isCancelled { break }
                await poll()
                try? await Task.sleep(for: .milliseconds(Limits.accessPollSpacingMilliseconds))
            }
            group.cancelAll()
        }
    }

    /// One look.
    func poll() async {
        let began = cache.now
        polls.add()
        do {
            let changes = try await credentials.changes(since: since.withLock { $0 })
            cache.apply(changes)
            apply(changes)
            cache.polled(began)
            if let readAt = changes.readAt { since.withLock { $0 = readAt.adding(seconds: -Limits.accessPollOverlapSeconds) } }
        } catch {
            // Until one succeeds, cached keys are checked against their rows.
            logger.warning("changes of keys and tenants not read; trying again", metadata: ["cause": "\(error)"])
        }
        tick()
    }
}
