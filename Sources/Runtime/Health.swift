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
