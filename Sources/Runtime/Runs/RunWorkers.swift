import Domain
import FoundationEssentials
import Logging
import NIOCore
import Redis
import ServiceLifecycle
import Storage
import Synchronization

/// Claims runs for the free slots of this process and performs them; keeps their leases; hands them back at shutdown.
final class RunWorkers: Sendable {
    private let replicaID: ReplicaID
    private let claims: Claims
    private let subscriber: RedisSubscriber
    private let loops: LoopExecutors
    private let slots: Int
    private let tenantConcurrency: Int
    private let leaseSeconds: Int
    private let logger: Logger
    let active: ActiveRuns
    private let ready = Signal()
    private let state = Mutex(State())
    let claimedCount: MetricCounter

    private struct State {
        var isDraining = false
        var working = 0
        var byTenant: [TenantID: Int] = [:]
        /// When the leases that were last renewed run out, by this process' own clock.
        var leaseDeadlines: [RunID: ContinuousClock.Instant] = [:]
    }

    init(
        replicaID: ReplicaID, database: Database, subscriber: RedisSubscriber, active: ActiveRuns, loops: LoopExecutors, slots: Int,
        tenantConcurrency: Int, leaseSeconds: Int, metrics: MetricsRegistry, logger: Logger
    ) {
        self.replicaID = replicaID
        claims = Claims(database)
        self.subscriber = subscriber
        self.active = active
        self.loops = loops
        self.slots = slots
        self.tenantConcurrency = tenantConcurrency
        self.leaseSeconds = leaseSeconds
        self.logger = logger
        claimedCount = metrics.counter("hsafa_runs_claimed_total", help: "Runs that this process claimed.")
        metrics.gauge("hsafa_runs_active", help: "Runs that this process works on.") { [active] in Double(active.count) }
    }

    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// True when this process has room, so that nobody else needs to be woken.
    @discardableResult
    func nudge() -> Bool {
        ready.raise()
        return state.withLock { $0.working < slots && !$0.isDraining }
    }

    func run(_ performer: RunPerformer) async {
        let wakeUps = subscriber.subscribe(RedisKeys.runsReady) { [ready] _ in ready.raise() }
        let notices = subscriber.subscribe(RedisKeys.workerNotify(replicaID)) { [active] push in
            // What was missed while Redis was away shows at the next renewal.
            guard case .message(let text) = push, let run = RunID(String(buffer: text)) else { return }
            active.wake(run)
        }
        defer {
            wakeUps.cancel()
            notices.cancel()
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.poll() }
            group.addTask { await self.renewLeases() }
            group.addTask { await self.drainAtShutdown() }
            await self.claimLoop(performer, &group)
            // The runs that are left end, or are handed back, before the group does; then the helpers are no longer needed.
            while self.state.withLock({ $0.working }) > 0, !Task.isCancelled { await self.ready.wait() }
            group.cancelAll()
        }
    }

    private func poll() async {
        while (try? await Task.sleep(for: .milliseconds(Limits.claimPollMilliseconds), tolerance: .milliseconds(200))) != nil {
            ready.raise()
            let now = Timestamp.now()
            for writer in active.all where writer.claimed.deadlineAt <= now { writer.interrupt(.deadlineExceeded) }
        }
    }

    private func claimLoop(_ performer: RunPerformer, _ group: inout DiscardingTaskGroup) async {
        var cursor = TenantID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
        while !Task.isCancelled, !isDraining {
            await ready.wait()
            while !Task.isCancelled, !isDraining {
                let (limit, passedOver) = nextRound()
                guard limit > 0 else { break }
                let claimedAt = ContinuousClock.now
                let claimed: [ClaimedRun]
                do {
                    (claimed, cursor) = try await claims.claim(
                        worker: replicaID, leaseSeconds: leaseSeconds, limit: limit, after: cursor,
                        defaultConcurrency: tenantConcurrency, passedOver: passedOver)
                } catch {
                    logger.warning("claiming failed; trying again at the next poll", metadata: ["cause": "\(error)"])
                    break
                }
                claimedCount.add(claimed.count)
                for run in claimed { start(run, performer, claimedAt, &group) }
                // No tenant got its full share (a quarter), so nothing that may run was left behind.
                if claimed.count < max(1, limit / 4) { break }
            }
        }
    }

    /// How many runs to claim, and tenants that get none of them. The last slots are for tenants that hold few: however long one
    /// tenant's runs take, another's finds room here at the next round.
    private func nextRound() -> (limit: Int, passedOver: [TenantID]) {
        let reserve = slots > 1 ? max(1, slots / Limits.slotReserveDivisor) : 0
        return state.withLock { state in
            let free = slots - state.working
            guard free <= reserve else { return (min(free - reserve, Limits.claimBatch), []) }
            return (min(free, Limits.claimBatch), state.byTenant.filter { $0.value >= reserve }.map(\.key))
        }
    }

    private func start(_ run: ClaimedRun, _ performer: RunPerformer, _ at: ContinuousClock.Instant, _ group: inout DiscardingTaskGroup) {
        state.withLock { state in
            state.working += 1
            state.byTenant[run.scope.tenantID, default: 0] += 1
            state.leaseDeadlines[run.runID] = at + .seconds(leaseSeconds)
        }
        let loop = loops.next()
        group.addTask(executorPreference: loop) {
            await performer.perform(run, on: loop)
            self.state.withLock { state in
                state.working -= 1
                let rest = (state.byTenant[run.scope.tenantID] ?? 1) - 1
                state.byTenant[run.scope.tenantID] = rest > 0 ? rest : nil
                state.leaseDeadlines[run.runID] = nil
            }
            // A slot is free: there may be more to claim, and the drain may be over.
            self.ready.raise()
        }
    }

    // MARK: Leases

    private func renewLeases() async {
        let interval = Duration.milliseconds(leaseSeconds * 1000 / 3)
        while (try? await Task.sleep(for: interval)) != nil {
            let writers = active.all
            fenceExpired(writers)
            guard !writers.isEmpty else { continue }
            let renewedAt = ContinuousClock.now
            do {
                let renewals = try await claims.renew(worker: replicaID, leaseSeconds: leaseSeconds, writers.map(\.claimed))
                apply(renewals, to: writers, renewedAt)
            } catch {
                logger.warning("leases not renewed", metadata: ["runs": "\(writers.count)", "cause": "\(error)"])
            }
        }
    }

    private func apply(_ renewals: [LeaseRenewal], to writers: [RunWriter], _ at: ContinuousClock.Instant) {
        let byRun = Dictionary(renewals.map { ($0.runID, $0) }, uniquingKeysWith: { first, _ in first })
        for writer in writers {
            guard let renewal = byRun[writer.claimed.runID] else {
                // Ended meanwhile by itself, or no longer ours: reading the log tells.
                writer.logMovedOn()
                continue
            }
            state.withLock { $0.leaseDeadlines[writer.claimed.runID] = at + .seconds(leaseSeconds) }
            if renewal.isTenantSuspended { writer.interrupt(.suspended) }
            writer.noticed(lastSeq: renewal.lastSeq)
        }
    }

    /// Hands back what this process works on for these tenants. Asked again with every look at what changed, so a run that was being
    /// claimed meanwhile is found by the next one.
    func suspend(_ tenants: Set<TenantID>) {
        for writer in active.all where tenants.contains(writer.claimed.scope.tenantID) { writer.interrupt(.suspended) }
    }

    /// A worker that could not renew stops before its lease ends, so that it never writes beside another.
    private func fenceExpired(_ writers: [RunWriter]) {
        let limit = ContinuousClock.now + .milliseconds(leaseSeconds * 1000 / 6)
        let deadlines = state.withLock { $0.leaseDeadlines }
        for writer in writers where deadlines[writer.claimed.runID].map({ $0 < limit }) ?? false { writer.interrupt(.fenced) }
    }

    // MARK: Shutdown

    /// Steps that are under way may finish within a bound; then they are cut and their runs handed back.
    private func drainAtShutdown() async {
        try? await gracefulShutdown()
        guard !Task.isCancelled else { return }
        state.withLock { $0.isDraining = true }
        ready.raise()
        try? await Task.sleep(for: .seconds(Limits.shutdownGraceSeconds))
        for writer in active.all { writer.interrupt(.handOver) }
    }
}
