import Domain
import JSON
import Logging
import Postgres
import Storage
import Synchronization

/// Why a worker stops before its run's next rest.
enum RunInterruption: Error, Sendable, Equatable {
    /// Another claim holds the run, or it has ended: nothing may be written any more.
    case fenced
    /// Someone asked for the run's end.
    case cancelRequested
    /// This process is going away: hand the run back.
    case handOver
    /// The tenant was suspended: hand the run back, until the tenant is resumed.
    case suspended
    /// The run's own deadline is over.
    case deadlineExceeded
}

/// A server tool's result came after its call's deadline: the call has expired, whatever it gave.
struct CallPastDeadline: Error {}

/// The one writer of a claimed run. One append is in flight; what the run emits meanwhile gathers, neighbouring deltas merge, and
/// go out with the next: no timer, latency when idle, batches when busy.
actor RunWriter {
    nonisolated let claimed: ClaimedRun
    private(set) var state: RunState
    private let database: TenantDatabase
    private let publisher: RunPublisher
    private let schedule: ScheduleNotes
    private let loop: LoopExecutor?
    private let logger: Logger
    private var pending = PendingEvents()
    private var isAppending = false
    private var room: [CheckedContinuation<Void, Never>] = []
    private var quiet: [CheckedContinuation<Void, Never>] = []
    private var failure: (any Error)?
    private nonisolated let work = Signal()
    private nonisolated let interrupts = Signal()
    private nonisolated let shared = Mutex(Shared())

    private struct Shared {
        var interruption: RunInterruption?
        var logMovedOn = false
        var lastSeq: Int64 = 0
        var isCallingOut = false
    }

    /// `loop` is that of the run's tasks; nil: they run anywhere.
    init(
        claimed: ClaimedRun, state: RunState, database: TenantDatabase, publisher: RunPublisher, schedule: ScheduleNotes,
        loop: LoopExecutor? = nil, logger: Logger
    ) {
        self.claimed = claimed
        self.state = state
        self.database = database
        self.publisher = publisher
        self.schedule = schedule
        self.loop = loop
        self.logger = logger
    }

    // MARK: Interruption, from any thread

    nonisolated var interruption: RunInterruption? { shared.withLock { $0.interruption } }

    /// The first reason stands, except that being fenced beats all.
    nonisolated func interrupt(_ reason: RunInterruption) {
        shared.withLock { if $0.interruption == nil || reason == .fenced { $0.interruption = reason } }
        interrupts.raise()
        work.raise()
    }

    /// The log holds something that this writer did not write.
    nonisolated func logMovedOn() {
        shared.withLock { $0.logMovedOn = true }
        work.raise()
    }

    /// A renewal told how far the log goes; if that is further than what was written here, others wrote.
    nonisolated func noticed(lastSeq: Int64) {
        if lastSeq > shared.withLock({ $0.lastSeq }) { logMovedOn() }
    }

    nonisolated func outsideCallBegins() { shared.withLock { $0.isCallingOut = true } }

    nonisolated func outsideCallEnded() {
        shared.withLock { $0.isCallingOut = false }
        interrupts.raise()
    }

    /// Returns when the call of a model or of tools has ended, when there is a reason to stop it, or when the task is canceled.
    nonisolated func endOfOutsideCall() async {
        while shared.withLock({ $0.isCallingOut && $0.interruption == nil }), !Task.isCancelled { await interrupts.wait() }
    }

    // MARK: Emitting

    /// Queues an event. Waits while too much is queued, so that a fast model is held to the pace of Postgres.
    func emit(_ event: NewRunEvent) async throws { try await add { $0.append(event) } }

    func emitDelta(_ type: RunEventType, text: String, stampNanoseconds: Int64?) async throws {
        try await add { $0.appendDelta(type, text: text, stampNanoseconds: stampNanoseconds) }
    }

    private func add(_ change: (inout PendingEvents) -> Void) async throws {
        while pending.isFull, failure == nil { await withCheckedContinuation { room.append($0) } }
        if let failure { throw failure }
        if interruption == .fenced { throw RunInterruption.fenced }
        let wasEmpty = pending.isEmpty
        change(&pending)
        if wasEmpty, !isAppending { work.raise() }
    }

    /// Appends what is queued until closed; the worker runs it beside the step.
    nonisolated func run() async {
        while !work.isClosed {
            await work.wait()
            await drain()
        }
        await drain()
    }

    nonisolated func close() { work.close() }

    private func drain() async {
        guard !isAppending else { return }
        isAppending = true
        defer {
            isAppending = false
            resumeAll(&quiet)
            resumeAll(&room)
        }
        do {
            if shared.withLock({ state in
                defer { state.logMovedOn = false }
                return state.logMovedOn
            }) {
                try await readOn()
            }
            while failure == nil, !pending.isEmpty {
                let batch = pending.take()
                resumeAll(&room)
                try await append(batch)
            }
        } catch {
            failure = failure ?? error
            if error as? RunInterruption == .fenced { interrupt(.fenced) }
        }
    }

    private func resumeAll(_ waiters: inout [CheckedContinuation<Void, Never>]) {
        let ready = waiters
        waiters = []
        for waiter in ready { waiter.resume() }
    }

    /// Everything emitted is committed when it returns.
    func flush() async throws {
        while failure == nil, isAppending || !pending.isEmpty {
            if isAppending { await withCheckedContinuation { quiet.append($0) } } else { await drain() }
        }
        if let failure { throw failure }
    }

    private func append(_ batch: [NewRunEvent]) async throws {
        let time = Timestamp.now()
        try await write(batch, at: time) { [database, claimed] after in
            try await database.append(batch, to: claimed.runID, after: after, claim: claimed.claimNumber, at: time) != nil
        }
    }

    // MARK: Transitions

    /// Flushes, then writes what `decide` makes of the state; decides again whenever someone else wrote first.
    func transition(_ decide: @Sendable (RunState) -> RunTransition?) async throws {
        try await flush()
        guard !isAppending else { return try await transition(decide) }
        isAppending = true
        defer {
            isAppending = false
            resumeAll(&quiet)
            resumeAll(&room)
            // What came meanwhile found the log in use, and nobody else looks again.
            if !pending.isEmpty || shared.withLock({ $0.logMovedOn }) { work.raise() }
        }
        for _ in 0..<Limits.maxDecisionAttempts {
            guard let transition = decide(state) else { return }
            let time = Timestamp.now()
            let after = state.lastSeq
            let didApply = try await attempt(transition.events, after: after, at: time) { [database, claimed] in
                let answer = try await database.transition(
                    transition, of: claimed.runID, after: after, claim: claimed.claimNumber, at: time)
                switch answer.verdict {
                case .applied: return true
                case .conflict: return false
                case .pastDeadline: throw CallPastDeadline()
                case .fenced, .notFound: throw RunInterruption.fenced
                }
            }
            if didApply { return schedule.note(transition.schedules) }
        }
        throw GatewayError.unavailable("The run is too busy.", cause: "\(claimed.runID): \(Limits.maxDecisionAttempts) conflicts in a row")
    }

    // MARK: Writing

    /// Events that stay true whatever others write: after a conflict they go in behind it.
    private func write(
        _ events: [NewRunEvent], at time: Timestamp, _ send: @escaping @Sendable (Int64) async throws -> Bool
    ) async throws {
        for _ in 0..<Limits.maxDecisionAttempts {
            let after = state.lastSeq
            if try await attempt(events, after: after, at: time, { try await send(after) }) { return }
        }
        throw GatewayError.unavailable("The run is too busy.", cause: "\(claimed.runID): \(Limits.maxDecisionAttempts) conflicts in a row")
    }

    /// One try. False: someone else wrote first, and the state has been read on. A write is never canceled half-way: nobody would know
    /// whether it went in. A task of its own does not hear of its creator's end; the lease bounds it. Nor does it inherit the
    /// loop, without which each write would wake two other threads.
    private func attempt(
        _ events: [NewRunEvent], after: Int64, at time: Timestamp, _ send: @escaping @Sendable () async throws -> Bool
    ) async throws -> Bool {
        try await Task(executorPreference: loop) { try await self.attemptToEnd(events, after: after, at: time, send) }.value
    }

    /// When the connection is lost at commit, the log tells whether the write went in.
    private func attemptToEnd(
        _ events: [NewRunEvent], after: Int64, at time: Timestamp, _ send: @Sendable () async throws -> Bool
    ) async throws -> Bool {
        do {
            if try await send() {
                try adopt(events.numbered(after: after, claim: claimed.claimNumber, at: time))
                return true
            }
        } catch let error as PostgresError where error.isWorthAnotherTry {
            logger.warning("append uncertain; reading the log", metadata: ["run": "\(claimed.runID)", "cause": "\(error)"])
        }
        return try await settle(events, after: after, at: time)
    }

    private func settle(_ events: [NewRunEvent], after: Int64, at time: Timestamp) async throws -> Bool {
        var delayMilliseconds = 20
        while true {
            if interruption == .fenced { throw RunInterruption.fenced }
            do {
                // The write is one transaction, so all of it went in or nothing. The claim alone does not tell: it wrote before.
                let found = try await database.events(of: claimed.runID, after: after, limit: events.count)
                if found.count == events.count, zip(found, events).allSatisfy({ $0.isWritten($1, by: claimed.claimNumber) }) {
                    try adopt(events.numbered(after: after, claim: claimed.claimNumber, at: time))
                    return true
                }
                try await readOn()
                return false
            } catch let error as PostgresError where error.isWorthAnotherTry {
                // Bounded by the lease: the keeper of leases fences this writer before it runs out.
                try await Task.sleep(for: .milliseconds(delayMilliseconds))
                delayMilliseconds = min(delayMilliseconds * 2, 1000)
            }
        }
    }

    private func adopt(_ events: [RunEvent]) throws {
        for event in events { try state.apply(event) }
        shared.withLock { $0.lastSeq = state.lastSeq }
        publisher.publish(events, of: claimed.runID)
    }

    /// Takes in what others wrote, which they have published themselves.
    private func readOn() async throws {
        // One at a time: whoever calls holds `isAppending`, so nothing changes the state meanwhile.
        var fresh = state
        _ = try await database.refold(&fresh, of: claimed.runID)
        state = fresh
        shared.withLock { $0.lastSeq = state.lastSeq }
        if state.claimNumber != claimed.claimNumber || state.status != .running {
            interrupt(.fenced)
            throw RunInterruption.fenced
        }
        if state.isCancelRequested { interrupt(.cancelRequested) }
    }
}

extension RunEvent {
    fileprivate func isWritten(_ event: NewRunEvent, by claim: Int32) -> Bool {
        claimNumber == claim && type == event.type && data == event.data
    }
}

extension PostgresError {
    /// The connection or the moment failed, not the statement.
    var isWorthAnotherTry: Bool {
        [.connection, .queueFull, .scopeQueueFull, .turn].contains(code) || sqlState == "40P01" || sqlState == "40001"
            || sqlState?.hasPrefix("57P") == true
    }
}
