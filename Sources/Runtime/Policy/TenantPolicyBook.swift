import Domain
import Logging
import NIOCore
import Postgres
import Redis
import Storage
import Synchronization

/// Tenants' own policies, compiled, as this process knows them: looked at again when they are some seconds old, and at once when a change
/// is announced. However many ask at once, one look answers them; nothing is compiled again that did not change; what takes the most
/// room for the longest time without a look makes way.
final class TenantPolicyBook: Sendable {
    /// Where policies are read.
    struct Source: Sendable {
        /// What changes when any of a tenant's policies does; nil: it has none.
        let fingerprint: @Sendable (TenantScope) async throws(PostgresError) -> String?
        let records: @Sendable (TenantScope) async throws(PostgresError) -> [TenantPolicyRecord]
    }

    private struct Known: Sendable {
        let layer: TenantLayer?
        let fingerprint: String?
        var readAt: ContinuousClock.Instant
    }

    private typealias Answer = Result<Known, PostgresError>

    private struct Entry {
        /// Another one at every announced change: a look that began under an earlier one may have missed it.
        var generation: UInt64
        var known: Known?
        /// A change was announced since `known` was read: it names what need not be compiled again, and decides nothing.
        var isStale = true
        var look: (generation: UInt64, task: Task<Answer, Never>)?
        var bytes: Int { known?.layer?.bytes ?? 0 }
        var lastLook: ContinuousClock.Instant { known?.readAt ?? .now }
    }

    private struct State {
        var entries: [TenantID: Entry] = [:]
        var bytes = 0
        var clock: UInt64 = 0

        mutating func tick() -> UInt64 {
            clock += 1
            return clock
        }

        mutating func forget(_ tenant: TenantID) {
            guard var entry = entries[tenant] else { return }
            entry.generation = tick()
            entry.isStale = true
            // Those who wait for it hold it; of the entry it would keep the place for ever.
            entry.look = nil
            entries[tenant] = entry
        }
    }

    private let source: Source
    private let subscriber: RedisSubscriber
    private let logger: Logger
    private let maxBytes: Int
    private let age: Duration
    private let state = Mutex(State())
    private let compiled: MetricCounter?

    init(
        source: Source, subscriber: RedisSubscriber, age: Duration = .seconds(Limits.tenantPoliciesSeconds),
        maxBytes: Int = Limits.maxCachedPolicyBytes, metrics: MetricsRegistry? = nil, logger: Logger
    ) {
        self.source = source
        self.subscriber = subscriber
        self.age = age
        self.maxBytes = maxBytes
        self.logger = logger
        compiled = metrics?.counter("hsafa_tenant_policy_compilations_total", help: "Layers of tenants that were read and compiled.")
        metrics?.gauge("hsafa_tenant_policy_bytes", help: "What compiled policies of tenants take in this process, about.") { [weak self] in
            Double(self?.bytes ?? 0)
        }
    }

    convenience init(database: Database, subscriber: RedisSubscriber, metrics: MetricsRegistry? = nil, logger: Logger) {
        let source = Source(
            fingerprint: { scope throws(PostgresError) in try await database.tenant(scope).policyFingerprint() },
            records: { scope throws(PostgresError) in try await database.tenant(scope).policies() })
        self.init(source: source, subscriber: subscriber, metrics: metrics, logger: logger)
    }

    /// Throws when nothing is known of the tenant's policies, or what was known has changed, and Postgres cannot be asked: then nobody may
    /// act for it.
    func policies(of scope: TenantScope) async throws(PostgresError) -> PolicySet? {
        let (known, look) = state.withLock { state -> (Known?, Task<Answer, Never>?) in
            guard let entry = state.entries[scope.tenantID] else { return (nil, begin(scope, &state)) }
            guard let known = entry.known, !entry.isStale else {
                let isCurrent = entry.look?.generation == entry.generation
                return (nil, isCurrent ? entry.look?.task : begin(scope, &state))
            }
            // Old, not changed as far as anybody has said: the one who finds it so looks, the others go on.
            if ContinuousClock.now - known.readAt < age || entry.look?.generation == entry.generation { return (known, nil) }
            return (nil, begin(scope, &state))
        }
        if let known { return known.layer?.set }
        guard let look else { return nil }
        return try await look.value.get().layer?.set
    }

    /// About what is kept.
    var bytes: Int { state.withLock { $0.bytes } }

    // MARK: A look

    /// Under the lock.
    private func begin(_ scope: TenantScope, _ state: inout State) -> Task<Answer, Never> {
        let tenant = scope.tenantID
        if state.entries[tenant] == nil {
            state.entries[tenant] = Entry(generation: state.tick())
            makeRoom(&state, but: tenant)
        }
        let generation = state.entries[tenant]?.generation ?? 0
        let known = state.entries[tenant]?.known
        let task = Task { await self.look(scope, generation, known) }
        state.entries[tenant]?.look = (generation, task)
        return task
    }

    private func look(_ scope: TenantScope, _ generation: UInt64, _ known: Known?) async -> Answer {
        let start = ContinuousClock.now
        let answer: Answer
        do throws(PostgresError) {
            let fingerprint = try await source.fingerprint(scope)
            if let known, known.fingerprint == fingerprint {
                answer = .success(Known(layer: known.layer, fingerprint: fingerprint, readAt: start))
            } else if fingerprint == nil {
                answer = .success(Known(layer: nil, fingerprint: nil, readAt: start))
            } else {
                // Read after the fingerprint: what changes in between is newer than its name here, and is read again.
                let records = try await source.records(scope)
                compiled?.add()
                answer = .success(Known(layer: TenantLayer(records), fingerprint: fingerprint, readAt: start))
            }
        } catch { answer = .failure(error) }
        return state.withLock { end(answer, scope.tenantID, generation, &$0) }
    }

    /// Under the lock. What a change has overtaken is an answer to those who asked before it, and to nobody else.
    private func end(_ answer: Answer, _ tenant: TenantID, _ generation: UInt64, _ state: inout State) -> Answer {
        guard var entry = state.entries[tenant], entry.generation == generation else { return answer }
        entry.look = nil
        var answer = answer
        switch answer {
        case .success(let fresh):
            state.bytes += (fresh.layer?.bytes ?? 0) - entry.bytes
            entry.known = fresh
            entry.isStale = false
        case .failure(let error):
            if var known = entry.known, !entry.isStale {
                logger.debug("policies not read again; the known ones stand", metadata: ["tenant": "\(tenant)", "cause": "\(error)"])
                known.readAt = .now
                entry.known = known
                answer = .success(known)
            }
        }
        state.entries[tenant] = entry
        makeRoom(&state, but: tenant)
        return answer
    }

    /// Those go that nobody has looked at for longest; a rare event, so a scan is fine.
    private func makeRoom(_ state: inout State, but tenant: TenantID) {
        while state.entries.count > Limits.maxCachedTenants || state.bytes > maxBytes {
            let idle = state.entries.filter { $0.key != tenant && $0.value.look == nil }
            guard let oldest = idle.min(by: { $0.value.lastLook < $1.value.lastLook }) else { return }
            state.bytes -= oldest.value.bytes
            state.entries[oldest.key] = nil
        }
    }

    // MARK: Changes

    /// Whoever asks from now on is told what stands in Postgres from now on.
    func forget(_ tenant: TenantID) { state.withLock { $0.forget(tenant) } }

    private func forgetAll() {
        state.withLock { state in for tenant in Array(state.entries.keys) { state.forget(tenant) } }
    }

    func run() async {
        let changes = subscriber.subscribe(RedisKeys.tenantsChanged) { [weak self] push in
            switch push {
            // What was announced before is not known.
            case .subscribed: self?.forgetAll()
            case .message(let text): if let tenant = TenantID(String(buffer: text)) { self?.forget(tenant) }
            case .disconnected: break
            }
        }
        defer { changes.cancel() }
        while (try? await Task.sleep(for: .seconds(3600))) != nil {}
    }
}
