import Domain
import Logging
import ServiceLifecycle
import Storage
import Synchronization

/// Takes what is due of one kind, of all tenants in turn, and carries it out: so many at once, so many of them for one tenant, and the last
/// places for tenants that have none. Rows in Postgres say what and when; taking one moves its time ahead, so no two replicas have the same, and what a crash cuts off is taken again.
final class DueLoop: Sendable {
    private struct State {
        var underWay: [TenantID: Int] = [:]
        var total = 0
        var isDraining = false
    }

    private let kind: ScheduleKind
    private let database: Database
    private let times: DueTimes
    private let most: Int
    private let logger: Logger
    private let perform: @Sendable (DueCall) async -> Void
    private let state = Mutex(State())

    init(
        _ kind: ScheduleKind, atOnce most: Int, database: Database, times: DueTimes, logger: Logger,
        perform: @escaping @Sendable (DueCall) async -> Void
    ) {
        self.kind = kind
        self.most = most
        self.database = database
        self.times = times
        self.logger = logger
        self.perform = perform
    }

    /// Until graceful shutdown: what is under way then may end within a bound.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.drainAtShutdown() }
            while !Task.isCancelled, !isDraining {
                await look(&group)
                await times.wait()
            }
            let end = ContinuousClock.now + .seconds(Limits.shutdownGraceSeconds)
            while !Task.isCancelled, state.withLock({ $0.total }) > 0, ContinuousClock.now < end { await times.wait() }
            group.cancelAll()
        }
    }

    private var isDraining: Bool { state.withLock { $0.isDraining } }

    private func drainAtShutdown() async {
        try? await gracefulShutdown()
        guard !Task.isCancelled else { return }
        state.withLock { $0.isDraining = true }
        times.raise()
        try? await Task.sleep(for: .seconds(Limits.shutdownGraceSeconds))
        times.raise()
    }

    /// Round after round, in each of which every tenant has its share, until nothing is left or there is no room.
    private func look(_ group: inout DiscardingTaskGroup) async {
        var visited: Set<TenantID> = []
        while !Task.isCancelled, !isDraining {
            let round = nextRound()
            // Whatever ends looks again.
            guard round.limit > 0 else { return }
            let due: [DueCall]
            do {
                due = try await database.takeDueCalls(
                    kind, limit: round.limit, share: round.share, except: visited.union(round.full), underWay: round.underWay)
            } catch {
                logger.warning(
                    "scheduled calls not looked at; the next look goes on", metadata: ["kind": "\(kind.rawValue)", "cause": "\(error)"])
                return
            }
            for call in due {
                visited.insert(call.scope.tenantID)
                begin(call, &group)
            }
            if due.isEmpty || visited.count > Limits.maxScheduleRoundTenants {
                if visited.isEmpty { return }
                visited = []
            }
        }
    }

    private struct Round {
        let limit: Int
        /// Of each tenant, with what is under way.
        let share: Int
        let underWay: [TenantID: Int]
        /// Tenants that have their share.
        var full: [TenantID] { underWay.filter { $0.value >= share }.map(\.key) }
    }

    /// The last places are for tenants of which nothing is under way, one for each: however long some tenants' systems take, others' calls
    /// find room.
    private func nextRound() -> Round {
        let reserve = most > 1 ? max(1, most / Limits.slotReserveDivisor) : 0
        return state.withLock { state in
            let free = most - state.total
            guard free > reserve else { return Round(limit: min(free, Limits.scheduledBatch), share: 1, underWay: state.underWay) }
            return Round(
                limit: min(free - reserve, Limits.scheduledBatch), share: Limits.scheduledOfTenantAtOnce, underWay: state.underWay)
        }
    }

    private func begin(_ call: DueCall, _ group: inout DiscardingTaskGroup) {
        state.withLock { state in
            state.total += 1
            state.underWay[call.scope.tenantID, default: 0] += 1
        }
        group.addTask {
            await self.perform(call)
            self.state.withLock { state in
                state.total -= 1
                let left = (state.underWay[call.scope.tenantID] ?? 1) - 1
                state.underWay[call.scope.tenantID] = left > 0 ? left : nil
            }
            self.times.raise()
        }
    }
}
