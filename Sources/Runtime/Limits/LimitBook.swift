import Domain
import Logging
import Postgres
import Storage
import Synchronization

/// The limits of the tenants that this process serves: the configuration's, with each tenant's overrides. Read again when they are
/// some seconds old, by one request while the others go on with what is known, and at once when a change is announced.
final class LimitBook: Sendable {
    /// Where overrides are read; nil: the tenant has none.
    typealias Source = @Sendable (TenantScope) async throws(PostgresError) -> TenantLimitOverrides?

    private struct Entry {
        /// Another one at every announced change: a look that began under an earlier one may have missed it.
        var generation: UInt64
        /// nil: not read yet, or not since a change.
        var rates: TenantRates?
        var readAt = ContinuousClock.now
        var isBeingRead = false
    }

    private struct State {
        var entries: [TenantID: Entry] = [:]
        var clock: UInt64 = 0

        mutating func tick() -> UInt64 {
            clock += 1
            return clock
        }

        mutating func forget(_ tenant: TenantID) {
            if entries[tenant] != nil { entries[tenant] = Entry(generation: tick()) }
        }
    }

    private let defaults: TenantLimits
    private let maxAge: Duration
    private let source: Source
    private let logger: Logger
    private let state = Mutex(State())

    init(defaults: TenantLimits, maxAge: Duration, source: @escaping Source, logger: Logger) {
        self.defaults = defaults
        self.maxAge = maxAge
        self.source = source
        self.logger = logger
    }

    convenience init(defaults: TenantLimits, maxAge: Duration, database: Database, logger: Logger) {
        self.init(
            defaults: defaults, maxAge: maxAge,
            source: { scope throws(PostgresError) in try await database.tenant(scope).limitOverrides() }, logger: logger)
    }

    /// Throws when nothing is known of the tenant and Postgres cannot be asked.
    func rates(_ scope: TenantScope) async throws(PostgresError) -> TenantRates {
        let (tenant, now) = (scope.tenantID, ContinuousClock.now)
        let (known, generation, isMine) = state.withLock { state -> (TenantRates?, UInt64, Bool) in
            guard let entry = state.entries[tenant] else { return (nil, enter(tenant, &state), true) }
            guard let rates = entry.rates else { return (nil, entry.generation, true) }
            if entry.isBeingRead || now - entry.readAt < maxAge { return (rates, entry.generation, false) }
            state.entries[tenant]?.isBeingRead = true
            return (rates, entry.generation, true)
        }
        if let known, !isMine { return known }
        do {
            return keep(try await source(scope) ?? TenantLimitOverrides(), tenant, generation, now)
        } catch {
            guard let known else { throw error }
            logger.debug("limits not read again; the known ones stand", metadata: ["tenant": "\(tenant)", "cause": "\(error)"])
            state.withLock { state in
                guard state.entries[tenant]?.generation == generation else { return }
                state.entries[tenant]?.isBeingRead = false
                state.entries[tenant]?.readAt = now
            }
            return known
        }
    }

    /// A place for what will be read.
    private func enter(_ tenant: TenantID, _ state: inout State) -> UInt64 {
        if state.entries.count >= Limits.maxCachedTenants {
            // A rare event, so a scan is fine.
            if let oldest = state.entries.min(by: { $0.value.readAt < $1.value.readAt })?.key { state.entries[oldest] = nil }
        }
        let generation = state.tick()
        state.entries[tenant] = Entry(generation: generation)
        return generation
    }

    /// What a change has overtaken is an answer to those who asked before it, and to nobody else.
    private func keep(
        _ overrides: TenantLimitOverrides, _ tenant: TenantID, _ generation: UInt64, _ now: ContinuousClock.Instant
    ) -> TenantRates {
        let limits = defaults.applying(overrides)
        return state.withLock { state in
            guard var entry = state.entries[tenant], entry.generation == generation else { return TenantRates(tenant, limits) }
            let rates = if let known = entry.rates, known.limits == limits { known } else { TenantRates(tenant, limits) }
            entry.rates = rates
            entry.readAt = now
            entry.isBeingRead = false
            state.entries[tenant] = entry
            return rates
        }
    }

    func forget(_ tenant: TenantID) { state.withLock { $0.forget(tenant) } }

    func forgetAll() {
        state.withLock { state in for tenant in Array(state.entries.keys) { state.forget(tenant) } }
    }
}
