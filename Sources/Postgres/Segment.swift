import Synchronization

/// What a segment is to the engine.
enum SegmentKind {
    /// `set_config` (if configured) and one statement, closed by a Sync.
    case statement(PostgresLane)
    /// BEGIN and `set_config`; the connection then belongs to the lease.
    case begin(lease: Int)
    /// One statement of an open transaction.
    case within(lease: Int)
    /// COMMIT or ROLLBACK; the connection is free again afterwards.
    case end(lease: Int, commit: Bool)
}

/// One caller's statement on its way. Whoever moves `state` to `answered` owns the right to resume the caller, exactly once.
///
///     fresh → queued → sent → answered        (a rerun goes back from sent to queued)
///     fresh, queued, sent → answered          (cancellation)
// The completion is written before `state` leaves `fresh` (release) and read only by who won the move to `answered` (acquire);
// `attempts` and `arrivedAt` belong to the reactor thread.
final class Segment: @unchecked Sendable {
    typealias Answer = Result<PostgresRows, PostgresError>

    /// Who is told.
    enum Completion {
        case waiting(UnsafeContinuation<Answer, Never>)
        /// Called on the thread that has the answer, which is the reactor's unless nothing was sent.
        case callback(@Sendable (Answer) -> Void)

        func callAsFunction(_ answer: Answer) {
            switch self {
            case .waiting(let continuation): continuation.resume(returning: answer)
            case .callback(let callback): callback(answer)
            }
        }
    }

    private static let fresh: UInt8 = 0
    private static let queued: UInt8 = 1
    private static let sent: UInt8 = 2
    private static let answered: UInt8 = 3

    let sql: SQL
    let scope: String?
    let kind: SegmentKind
    let byteCount: Int
    private let counters: EngineCounters
    private let state = Atomic<UInt8>(Segment.fresh)
    private var completion: Completion?

    /// How often it was sent.
    var attempts = 0
    var arrivedAt: Int64 = 0

    init(_ sql: SQL, scope: String?, kind: SegmentKind, byteCount: Int, counters: EngineCounters) {
        self.sql = sql
        self.scope = scope
        self.kind = kind
        self.byteCount = byteCount
        self.counters = counters
    }

    /// A ROLLBACK that the engine sends on its own account; nobody waits for it.
    static func detachedRollback(lease: Int, counters: EngineCounters) -> Segment {
        let segment = Segment("ROLLBACK", scope: nil, kind: .end(lease: lease, commit: false), byteCount: 0, counters: counters)
        segment.state.store(Self.queued, ordering: .releasing)
        counters.accepted(segment)
        return segment
    }

    /// Nothing can cancel COMMIT or ROLLBACK, and what happens inside a transaction has not run until it commits.
    var isCommit: Bool {
        if case .end(_, commit: true) = kind { return true }
        return false
    }
    private var isInTransaction: Bool {
        if case .statement = kind { return false }
        return true
    }
    /// What the caller must assume if the answer never came.
    var mayHaveRunOnceSent: Bool { isCommit || !isInTransaction }

    /// False when the caller was cancelled before it began to wait; it is then resumed here.
    func begin(_ completion: Completion) -> Bool {
        self.completion = completion
        guard state.compareExchange(expected: Self.fresh, desired: Self.queued, ordering: .acquiringAndReleasing).exchanged else {
            completion(.failure(.canceledBeforeSending))
            return false
        }
        counters.accepted(self)
        return true
    }

    /// Queued → sent; false when nobody waits any more.
    func markSent() -> Bool {
        guard state.compareExchange(expected: Self.queued, desired: Self.sent, ordering: .acquiringAndReleasing).exchanged else {
            return false
        }
        counters.left(self)
        attempts += 1
        return true
    }

    /// Sent → queued, for what Postgres rolled back; false when nobody waits any more.
    func markForRerun() -> Bool {
        guard state.compareExchange(expected: Self.sent, desired: Self.queued, ordering: .acquiringAndReleasing).exchanged else {
            return false
        }
        counters.accepted(self)
        return true
    }

    /// Accepted, not sent, not answered.
    var isQueued: Bool { state.load(ordering: .acquiring) == Self.queued }
    var isAnswered: Bool { state.load(ordering: .acquiring) == Self.answered }

    /// False when the caller was answered before (it was cancelled).
    @discardableResult
    func answer(_ answer: Answer) -> Bool {
        let before = state.exchange(Self.answered, ordering: .acquiringAndReleasing)
        if before == Self.queued { counters.left(self) }
        guard before != Self.answered else { return false }
        completion?(answer)
        return true
    }

    /// From the caller's cancellation handler. True when the engine should hear of it.
    func cancel() -> Bool {
        let before = state.exchange(Self.answered, ordering: .acquiringAndReleasing)
        switch before {
        case Self.queued:
            counters.left(self)
            completion?(.failure(.canceledBeforeSending))
            return true
        case Self.sent:
            let error = PostgresError(
                .canceled, "the task was cancelled while its statement was running", mayHaveRun: mayHaveRunOnceSent)
            completion?(.failure(error))
            return true
        default:
            return false
        }
    }
}

extension PostgresError {
    static let canceledBeforeSending = PostgresError(.canceled, "the task was cancelled before its statement was sent")
    static let shuttingDown = PostgresError(.shutDown, "the Postgres client is shut down")
}

/// Figures that callers and the reactor share.
final class EngineCounters: Sendable {
    let queued = Atomic<Int>(0)
    let queuedBytes = Atomic<Int>(0)
    let segments = Atomic<Int>(0)
    let groups = Atomic<Int>(0)
    let reruns = Atomic<Int>(0)
    let reconnects = Atomic<Int>(0)
    let connectionsUp = Atomic<Int>(0)
    let leases = Atomic<Int>(0)

    func accepted(_ segment: Segment) { add(segment, 1) }
    func left(_ segment: Segment) { add(segment, -1) }

    private func add(_ segment: Segment, _ sign: Int) {
        queued.wrappingAdd(sign, ordering: .relaxed)
        queuedBytes.wrappingAdd(sign * segment.byteCount, ordering: .relaxed)
    }
}
