import Domain
import JSON
import Logging
import Storage
import Synchronization

/// Takes what is due, timers and deliveries, of all tenants. Rows in Postgres say what and when; the notes here only make this process
/// look at the very moment. What a crash cuts off is taken again when its lease has run out.
final class ScheduledCalls: Sendable {
    private let database: Database
    private let runs: RunService
    private let deliveries: Deliveries
    private let logger: Logger
    private let signal = Signal()
    /// Times before the next polls that this process knows of. Those beyond the bound are found by the polls.
    private let soon = Mutex<[ContinuousClock.Instant]>([])

    init(database: Database, runs: RunService, deliveries: Deliveries, logger: Logger) {
        self.database = database
        self.runs = runs
        self.deliveries = deliveries
        self.logger = logger
    }

    /// These were committed.
    func note(_ calls: [NewToolCall]) {
        guard let due = calls.compactMap({ $0.schedule?.dueAt }).min() else { return }
        note(inMilliseconds: Int(due.millisecondsSinceUnixEpoch - Timestamp.now().millisecondsSinceUnixEpoch))
    }

    func note(inMilliseconds delay: Int) {
        // Later than the next poll or two: the poll finds it.
        guard delay < 2 * Limits.schedulePollMilliseconds else { return }
        let time = ContinuousClock.now + .milliseconds(max(0, delay) + 1)
        soon.withLock { if $0.count < Limits.maxNotedTimes { $0.append(time) } }
        signal.raise()
    }

    func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                await look(&group)
                await sleep()
            }
            group.cancelAll()
        }
    }

    private func sleep() async {
        let poll = ContinuousClock.now + .milliseconds(Limits.schedulePollMilliseconds)
        while !Task.isCancelled {
            let until = min(soon.withLock { $0.min() } ?? poll, poll)
            guard until > .now else { break }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await Task.sleep(until: until) }
                group.addTask { await self.signal.wait() }
                await group.next()
                group.cancelAll()
            }
        }
        let now = ContinuousClock.now
        soon.withLock { times in times.removeAll { $0 <= now } }
    }

    private func look(_ group: inout DiscardingTaskGroup) async {
        do {
            while !Task.isCancelled {
                let due = try await database.takeDueCalls(busy: deliveries.busyTenants())
                for call in due where call.kind == .timer || !call.isOpen { try await settle(call) }
                for call in due where call.kind == .delivery && call.isOpen {
                    await deliveries.room()
                    group.addTask {
                        if let delay = await self.deliveries.attempt(call) { self.note(inMilliseconds: delay) }
                    }
                }
                guard due.count == Limits.scheduledBatch else { return }
            }
        } catch {
            logger.warning("scheduled calls not looked at; the next look goes on", metadata: ["cause": "\(error)"])
        }
    }

    /// A timer whose time has come, or a row whose call has its outcome already.
    private func settle(_ call: DueCall) async throws {
        if call.isOpen {
            let outcome = ToolOutcome.result(.object { $0.field("firedAt", string: Timestamp.now().description) }, source: .server)
            let decision = try await runs.decide(call.scope, call.runID) { state in
                RunMachine.record(outcome, of: call.callID, in: state, reason: "timer")
            }
            if decision.answer == .pastDeadline {
                _ = try await runs.decide(call.scope, call.runID) { RunMachine.record(.expired, of: call.callID, in: $0) }
            }
        }
        try await database.tenant(call.scope).unschedule(call.callID, of: call.runID)
    }
}
