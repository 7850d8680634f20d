import CLibPQ
import Glibc
import Logging

/// One libpq connection in pipeline mode, and the groups in flight on it. Used on the reactor thread only.
///
///     down(retryAt) → connecting(deadline) → up → down
///     connecting → down                                  (refused, or the deadline passed)
final class Connection {
    enum State {
        case down(retryAt: Int64)
        case connecting(deadline: Int64)
        case up
    }

    let identity: Int
    let lane: LaneName
    let configuration: PostgresConfiguration
    let arena: ParameterArena
    private let noticeLogger: NoticeLogger
    var state: State
    var handle: OpaquePointer?
    var descriptor: Int32 = -1
    /// What epoll watches the descriptor for.
    var watched: UInt32 = 0
    var failedAttempts = 0
    var hasBeenUp = false

    var cache: StatementCache
    var scopeStatement: PreparedStatement?
    private(set) var inFlight: [Group] = []
    /// When the group at the head became the head.
    private(set) var headSince: Int64 = 0
    /// Bytes read since the last complete result.
    private var partialBytes = 0
    /// Why the server (or libpq) ended the connection, if it said so.
    var farewell: String?

    /// The transaction that owns the connection.
    var lease: Lease?
    /// Set while a cancel request is under way: it hits whatever runs, so nothing new may start.
    var cancelToken: Int?

    init(identity: Int, lane: LaneName, configuration: PostgresConfiguration, arena: ParameterArena, logger: Logger) {
        self.identity = identity
        self.lane = lane
        self.configuration = configuration
        self.arena = arena
        noticeLogger = NoticeLogger(logger)
        state = .down(retryAt: 0)
        cache = StatementCache(capacity: configuration.maxPreparedStatements)
    }

    deinit { if let handle { PQfinish(handle) } }

    var isUp: Bool { if case .up = state { true } else { false } }
    var load: Int { inFlight.count }
    /// Of the transaction or the first statement that holds it; nil: nothing does.
    var scopeAtWork: ScopeKey? {
        if let lease { return lease.scope }
        return inFlight.first?.segments.first.map { ScopeKey($0.scope) }
    }
    var errorText: String {
        let text = handle.flatMap { PQerrorMessage($0) }.map { String(cString: $0) } ?? "out of memory"
        return text.split(separator: "\n").joined(separator: "; ")
    }

    // MARK: Connecting

    /// False when libpq could not even begin.
    func startConnecting(now: Int64) -> Bool {
        let options = configuration.connectionOptions
        var keywords: [UnsafePointer<CChar>?] = options.map { UnsafePointer(strdup($0.keyword)) } + [nil]
        var values: [UnsafePointer<CChar>?] = options.map { UnsafePointer(strdup($0.value)) } + [nil]
        defer { for pointer in keywords + values { free(UnsafeMutablePointer(mutating: pointer)) } }
        handle = PQconnectStartParams(&keywords, &values, 0)
        guard let handle, PQstatus(handle) != CONNECTION_BAD else { return false }
        PQsetNoticeReceiver(handle, NoticeLogger.receiver, Unmanaged.passUnretained(noticeLogger).toOpaque())
        state = .connecting(deadline: now + Int64(max(1, configuration.connectTimeoutSeconds)) * 1000)
        return true
    }

    /// The connection is established: from here on it speaks pipeline only.
    func enterPipeline() -> Bool {
        guard let handle, PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else { return false }
        state = .up
        failedAttempts = 0
        return true
    }

    /// Gives back what was in flight, unanswered.
    func close(retryAt: Int64) -> [Group] {
        if let handle { PQfinish(handle) }
        handle = nil
        descriptor = -1
        watched = 0
        state = .down(retryAt: retryAt)
        cache = StatementCache(capacity: configuration.maxPreparedStatements)
        scopeStatement = nil
        cancelToken = nil
        farewell = nil
        partialBytes = 0
        defer { inFlight = [] }
        return inFlight
    }

    // MARK: Results

    enum Reception {
        case alive
        case oversized
        case lost(String)
    }

    /// Reads what is there; groups that are complete are appended to `done`.
    func receive(now: Int64, into done: inout [Group]) -> Reception {
        guard let handle else { return .lost("closed") }
        var available: CInt = 0
        if ioctl(descriptor, 0x541B /* FIONREAD */, &available) == 0 { partialBytes += Int(available) }
        let readFailure = PQconsumeInput(handle) == 0 ? errorText : nil
        var emptyAnswers = 0
        while PQisBusy(handle) == 0, let group = inFlight.first, farewell == nil {
            guard let raw = PQgetResult(handle) else {
                if let operation = group.endOperation() {
                    emptyAnswers = 0
                    settle(operation, in: group)
                } else {
                    emptyAnswers += 1
                    // libpq has nothing while we wait for an answer: we no longer agree on what is in the pipeline.
                    if emptyAnswers > 4 { return .lost(readFailure ?? "the pipeline is out of step") }
                }
                continue
            }
            emptyAnswers = 0
            partialBytes = 0
            if accept(ResultBox(raw), for: group) {
                inFlight.removeFirst()
                headSince = now
                done.append(group)
            }
        }
        while let notification = PQnotifies(handle) { PQfreemem(notification) }
        if let farewell { return .lost(farewell) }
        if let readFailure { return .lost(readFailure) }
        guard partialBytes <= configuration.maxResultBytes else { return .oversized }
        return .alive
    }

    /// Beyond this the connection is dropped: the cancel request did not stop the flood.
    var isFlooded: Bool { partialBytes > configuration.maxResultBytes * 2 + (16 << 20) }

    /// True when the group is complete.
    private func accept(_ result: ResultBox, for group: Group) -> Bool {
        switch PQresultStatus(result.raw) {
        case PGRES_PIPELINE_SYNC: return true
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            group.succeed(with: result, byteCount: PQresultMemorySize(result.raw), limit: configuration.maxResultBytes)
        case PGRES_PIPELINE_ABORTED: group.skip()
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH: farewell = "a statement began a COPY, which cannot be pipelined"
        default:
            let error = PostgresError(result)
            // Without an SQLSTATE it is libpq's own error, and FATAL ends the session.
            if error.sqlState == nil || ["FATAL", "PANIC"].contains(result.field(.severity)) {
                farewell = error.message
            } else {
                group.fail(error, isReplan: error.sqlState == "0A000" && result.field(.function) == "RevalidateCachedQuery")
            }
        }
        return false
    }

    /// Keeps the cache true to what the server did.
    private func settle(_ operation: Operation, in group: Group) {
        switch operation {
        case .prepare(let statement):
            if !statement.exists {
                cache.preparationFailed(statement)
                if scopeStatement === statement { scopeStatement = nil }
            }
        case .deallocate(let statement): cache.deallocationFailed(statement)
        case .execute(let statement, _):
            guard group.endedStale else { return }
            if statement.exists { cache.evict(statement) } else { cache.forget(statement) }
        case .scope(let statement):
            if group.endedStale, scopeStatement === statement { scopeStatement = nil }
        }
    }

    // MARK: Sending

    func append(_ group: Group, now: Int64) {
        if inFlight.isEmpty { headSince = now }
        inFlight.append(group)
    }
}
