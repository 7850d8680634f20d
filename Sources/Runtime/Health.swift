import Logging
import Redis
import Storage
import Synchronization

extension Gateway {
    /// At most a second old: anybody may ask, as often as they like.
    public func health() async -> HealthReport {
        let now = ContinuousClock.now
        if let last = lastHealth.withLock({ $0 }), now - last.at < .seconds(1) { return last.report }
        let report = await lookAtHealth()
        lastHealth.withLock { $0 = (report, now) }
        return report
    }

    private func lookAtHealth() async -> HealthReport {
        var report = HealthReport()
        do {
            try await database.ping()
            report.add("postgres", isUp: true, detail: "ok", isRequired: true)
            let missing = try await Migrator.pending(postgres, directory: configuration.migrationsDirectory)
            report.add(
                "migrations", isUp: missing.isEmpty, detail: missing.isEmpty ? "ok" : "missing: \(missing.joined(separator: ", "))",
                isRequired: true)
        } catch {
            logger.warning("not ready", metadata: ["cause": "\(error)"])
            report.add("postgres", isUp: false, detail: "not reachable", isRequired: true)
        }
        let isRedisUp = redis.isConnected
        report.add("redis", isUp: isRedisUp, detail: isRedisUp ? "ok" : "not reachable; live updates are slower", isRequired: false)
        return report
    }
}

/// What `GET /health/ready` tells.
public struct HealthReport: Sendable {
    public struct Check: Sendable {
        public let name: String
        public let isUp: Bool
        public let detail: String
        public let isRequired: Bool
    }

    public private(set) var checks: [Check] = []

    public var isReady: Bool { checks.allSatisfy { $0.isUp || !$0.isRequired } }
    public var isDegraded: Bool { checks.contains { !$0.isUp } }

    mutating func add(_ name: String, isUp: Bool, detail: String, isRequired: Bool) {
        checks.append(Check(name: name, isUp: isUp, detail: detail, isRequired: isRequired))
    }
}
