import Domain
import Logging
import ServiceLifecycle
import Storage
import Synchronization

/// Takes what is due of one kind, of all tenants in turn, and carries it out: so many at once, so many of them for one tenant. Rows in
/// Postgres say what and when; taking one moves its time ahead, so no two replicas have the same, and what a crash cuts off is taken again.
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
            let (room, busy) = state.withLock { state in
                (most - state.total, state.underWay.filter { $0.value >= Limits.scheduledOfTenantAtOnce }.map(\.key))
            }
            // Whatever ends looks again.
            guard room > 0 else { return }
            let due: [DueCall]
            do {
                due = try await database.takeDueCalls(
                    kind, limit: min(room, Limits.scheduledBatch), share: Limits.scheduledOfTenantAtOnce, except: visited.union(busy))
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
