import Domain
import Logging
import Postgres
import Storage
import Synchronization

/// The limits of the tenants that this process serves: the configuration's, with each tenant's overrides. Read again when they are
/// some seconds old, by one request while the others go on with what is known, and at once when a change is announced.
final class LimitBook: Sendable {
    private struct Entry {
        var rates: TenantRates
        var readAt: ContinuousClock.Instant
        var isBeingRead = false
    }

    private let defaults: TenantLimits
    private let maxAge: Duration
    private let database: Database
    private let logger: Logger
    private let entries = Mutex<[TenantID: Entry]>([:])

    init(defaults: TenantLimits, maxAge: Duration, database: Database, logger: Logger) {
        self.defaults = defaults
        self.maxAge = maxAge
        self.database = database
        self.logger = logger
    }

    /// Throws when nothing is known of the tenant and Postgres cannot be asked.
    func rates(_ scope: TenantScope) async throws(PostgresError) -> TenantRates {
        let now = ContinuousClock.now
        let (known, isMine) = entries.withLock { entries -> (TenantRates?, Bool) in
            guard let entry = entries[scope.tenantID] else { return (nil, true) }
            if entry.isBeingRead || now - entry.readAt < maxAge { return (entry.rates, false) }
            entries[scope.tenantID]?.isBeingRead = true
            return (entry.rates, true)
        }
        if let known, !isMine { return known }
        do {
            return keep(try await database.tenant(scope).limitOverrides() ?? TenantLimitOverrides(), scope.tenantID, now)
        } catch {
            guard let known else { throw error }
            logger.debug("limits not read again; the known ones stand", metadata: ["tenant": "\(scope.tenantID)", "cause": "\(error)"])
            entries.withLock { entries in
                entries[scope.tenantID]?.isBeingRead = false
                entries[scope.tenantID]?.readAt = now
            }
            return known
        }
    }

    private func keep(_ overrides: TenantLimitOverrides, _ tenant: TenantID, _ now: ContinuousClock.Instant) -> TenantRates {
        let limits = defaults.applying(overrides)
        return entries.withLock { entries in
            if var entry = entries[tenant] {
                if entry.rates.limits != limits { entry.rates = TenantRates(tenant, limits) }
                entry.readAt = now
                entry.isBeingRead = false
                entries[tenant] = entry
                return entry.rates
            }
            if entries.count >= Limits.maxCachedTenants {
                // A rare event, so a scan is fine.
                if let oldest = entries.min(by: { $0.value.readAt < $1.value.readAt })?.key { entries[oldest] = nil }
            }
            let rates = TenantRates(tenant, limits)
            entries[tenant] = Entry(rates: rates, readAt: now)
            return rates
        }
    }

    func forget(_ tenant: TenantID) { entries.withLock { $0[tenant] = nil } }
    func forgetAll() { entries.withLock { $0 = [:] } }
}
