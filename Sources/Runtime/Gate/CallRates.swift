import Domain
import Logging
import Redis
import Storage
import Synchronization

/// `perMinute` of rules. Redis counts over all replicas; while it is away each process holds the same bound for itself, by what it has let
/// through in the last minute, Redis or not: a tenant may then have the bound once a replica, never without one.
final class CallRates: Sendable {
    private struct Key: Hashable {
        let tenant: TenantID
        let rule: String
    }

    /// Calls by the second; the last sixty-one seconds count, so never fewer than the last sixty.
    private struct Window {
        static let seconds = 61
        var counts = [UInt16](repeating: 0, count: seconds)
        var last: Int

        init(at second: Int) { last = second }

        mutating func advance(to second: Int) {
            guard second > last else { return }
            for step in 1...min(second - last, Self.seconds) { counts[(last + step) % Self.seconds] = 0 }
            last = second
        }

        var total: Int { counts.reduce(0) { $0 + Int($1) } }
    }

    struct Refusal: Sendable, Hashable {
        let rule: CountedRule
        let retrySeconds: Int
    }

    private let windows: CallWindows
    private let local = Mutex<[Key: Window]>([:])
    private let start = ContinuousClock.now
    private let localDecisions: MetricCounter
    private let logger: Logger

    init(redis: RedisClient, metrics: MetricsRegistry, logger: Logger) {
        windows = CallWindows(redis)
        localDecisions = metrics.counter(
            "hsafa_policy_local_counts_total", help: "Calls counted by this process alone, because Redis did not answer.")
        self.logger = logger
    }

    /// Counts the call under every rule that bounds calls by the minute, or under none. nil: counted.
    func count(_ call: CallID, _ tenant: TenantID, _ counted: [CountedRule]) async -> Refusal? {
        let bounded = counted.compactMap { rule in rule.perMinute.map { (rule: rule, perMinute: $0) } }
        guard !bounded.isEmpty else { return nil }
        do throws(RedisError) {
            if let full = try await windows.count(call, of: tenant, bounded.map { ($0.rule.rule, $0.perMinute) }) {
                return Refusal(rule: bounded[full.rule].rule, retrySeconds: (full.retryMilliseconds + 999) / 1000)
            }
            note(tenant, bounded.map(\.rule))
            return nil
        } catch {
            localDecisions.add()
            logger.debug("calls counted without Redis", metadata: ["tenant": "\(tenant)", "cause": "\(error)"])
            return take(tenant, bounded)
        }
    }

    private var second: Int { Int((ContinuousClock.now - start).components.seconds) }

    private func note(_ tenant: TenantID, _ rules: [CountedRule]) {
        let now = second
        local.withLock { local in for rule in rules { Self.add(&local, Key(tenant: tenant, rule: rule.rule), now) } }
    }

    private func take(_ tenant: TenantID, _ bounded: [(rule: CountedRule, perMinute: Int)]) -> Refusal? {
        let now = second
        return local.withLock { local in
            for (rule, perMinute) in bounded {
                let key = Key(tenant: tenant, rule: rule.rule)
                local[key]?.advance(to: now)
                if local[key]?.total ?? 0 >= perMinute { return Refusal(rule: rule, retrySeconds: 1) }
            }
            for (rule, _) in bounded { Self.add(&local, Key(tenant: tenant, rule: rule.rule), now) }
            return nil
        }
    }

    private static func add(_ local: inout [Key: Window], _ key: Key, _ now: Int) {
        if local[key] == nil, local.count >= Limits.maxCountedRules {
            // The one that was used longest ago makes room: a rare event, so a scan is fine.
            if let oldest = local.min(by: { $0.value.last < $1.value.last })?.key { local[oldest] = nil }
        }
        local[key, default: Window(at: now)].advance(to: now)
        let slot = now % Window.seconds
        if let count = local[key]?.counts[slot], count < .max { local[key]?.counts[slot] = count + 1 }
    }
}
