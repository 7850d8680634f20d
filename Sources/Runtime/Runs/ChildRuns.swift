import Domain
import Logging
import Storage
import Synchronization

/// Word that a run which a call started has ended, or that its call has. Rows say the same, so a notice may be lost; a sweep finds them.
final class ChildNotices: Sendable {
    struct Notice: Sendable {
        let scope: TenantScope
        let runID: RunID
    }

    private let waiting = Mutex<[Notice]>([])
    let signal = Signal()

    /// Something about `run` was committed, after which it stands as in `state`.
    func note(_ state: RunState, of run: RunID, _ scope: TenantScope) {
        if state.status.isTerminal, state.parent != nil { add(run, scope) }
        for call in state.calls {
            // What the child gave needs no word to the child.
            guard let child = call.childRunID, let outcome = call.outcome, outcome.source == .gateway else { continue }
            add(child, scope)
        }
    }

    private func add(_ run: RunID, _ scope: TenantScope) {
        let isTaken = waiting.withLock { waiting in
            guard waiting.count < Limits.maxChildNotices else { return false }
            waiting.append(Notice(scope: scope, runID: run))
            return true
        }
        if isTaken { signal.raise() }
    }

    func take() -> [Notice] {
        waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}

/// Brings runs that calls started, and those calls, to one end: what the run came to is the call's outcome, and a call that is over (its
/// run was canceled, failed, its time ran out) cancels the run. Nobody waits meanwhile: both are rows, and any replica acts on them.
struct ChildRuns: Sendable {
    let database: Database
    let runs: RunService
    /// Between looks for what notices lost.
    let interval: Duration
    let logger: Logger

    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                while (try? await Task.sleep(for: interval, tolerance: interval / 4)) != nil { await sweep() }
            }
            while !Task.isCancelled {
                await runs.childNotices.signal.wait()
                await settle(runs.childNotices.take())
            }
        }
    }

    func sweep() async {
        do {
            let unsettled = try await Claims(database).unsettledChildren(limit: Limits.sweepBatch)
            await settle(unsettled.map { ChildNotices.Notice(scope: $0.scope, runID: $0.runID) })
        } catch {
            logger.warning("ends of runs that calls started not looked for; the next sweep does", metadata: ["cause": "\(error)"])
        }
    }

    /// What fails for one costs the others nothing.
    private func settle(_ notices: [ChildNotices.Notice]) async {
        await withTaskGroup(of: Void.self) { group in
            var rest = notices[...]
            func next() {
                guard let notice = rest.popFirst() else { return }
                group.addTask { await attempt(notice) }
            }
            for _ in 0..<Limits.childrenSettledAtOnce { next() }
            while await group.next() != nil, !Task.isCancelled { next() }
        }
    }

    private func attempt(_ notice: ChildNotices.Notice) async {
        do { try await settle(notice.runID, notice.scope) } catch {
            logger.warning(
                "a run and the call that started it not brought together; the next sweep tries again",
                metadata: ["run": "\(notice.runID)", "cause": "\(error)"])
        }
    }

    private func settle(_ child: RunID, _ scope: TenantScope) async throws {
        let tenant = database.tenant(scope)
        guard let link = try await tenant.childLink(child) else { return }
        if link.status.isTerminal {
            if !link.isCallOver { try await tell(link, scope, tenant) }
            try await tenant.settleChild(link)
        } else if link.isCallOver {
            let decision = try await runs.decide(scope, child) { RunMachine.requestCancel($0, reason: "parent_call_ended") }
            // Devices that it asked hear of it. Its own end is a notice of its own.
            if decision.answer == .applied, decision.state.status == .canceled { runs.callsEnded(scope, decision.state.calls) }
        }
    }

    /// By the road of every tool's result: an event, the one outcome of the call, and the run is queued when it was the last.
    private func tell(_ link: ChildLink, _ scope: TenantScope, _ tenant: TenantDatabase) async throws {
        guard let state = try await tenant.fold(link.runID), let outcome = RunMachine.outcome(ofChild: state) else { return }
        let decision = try await runs.decide(scope, link.parentRunID) { RunMachine.record(outcome, of: link.parentCallID, in: $0) }
        if decision.answer == .pastDeadline {
            _ = try await runs.decide(scope, link.parentRunID) { RunMachine.expire(link.parentCallID, in: $0) }
        }
    }
}
