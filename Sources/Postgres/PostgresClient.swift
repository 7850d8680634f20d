public import Logging
import Synchronization

/// How a statement travels.
public enum PostgresLane: Sendable, Equatable {
    /// Shares its implicit transaction and its round trip with others. For reads and single inserts that lock nothing for long.
    case shared
    /// An implicit transaction of its own, on the shared lane. For functions that lock.
    case alone
    /// A connection of the transaction lane to itself, so that its length delays nobody.
    case slow
    /// A connection of the lists' lane to itself, for reads that may take long: planned for their own parameters, with a time limit of
    /// their own. So they delay neither the reads beside them nor, as each scope has its share, the lists of other scopes.
    case list
}

/// A client of one Postgres server: one thread, a few connections, any number of callers.
public final class PostgresClient: Sendable {
    private let configuration: PostgresConfiguration
    private let reactor: ReactorExecutor?
    private let mailbox: Mailbox?
    private let startFailure: PostgresError?
    private let counters = EngineCounters()

    public init(_ configuration: PostgresConfiguration, logger: Logger) {
        self.configuration = configuration
        do {
            let reactor = try ReactorExecutor()
            let mailbox = Mailbox(reactor: reactor)
            let engine = PostgresEngine(
                configuration: configuration, reactor: reactor, mailbox: mailbox, counters: counters, logger: logger)
            // The loop owns the engine, and the engine's end clears both closures.
            reactor.onReady = { descriptor, events in engine.assumeIsolated { $0.ready(descriptor, events) } }
            reactor.onTick = { engine.assumeIsolated { $0.tick() } }
            try reactor.start(name: "postgres")
            self.reactor = reactor
            self.mailbox = mailbox
            startFailure = nil
        } catch {
            reactor = nil
            mailbox = nil
            startFailure = error
            logger.error("the Postgres client could not start", metadata: ["error": "\(error)"])
        }
    }

    deinit { mailbox?.shutDown() }

    /// Connects, and returns after cancellation or `shutDown()` when every connection is closed and every waiter answered.
    public func run() async {
        guard let mailbox else { return }
        mailbox.start()
        await withTaskCancellationHandler {
            await mailbox.waitForEnd()
        } onCancel: {
            mailbox.shutDown()
        }
    }

    /// Queued work gets `.shutDown`; what is in flight has `shutDownGraceMilliseconds` to end.
    public func shutDown() { mailbox?.shutDown() }

    /// One statement in an implicit transaction. Statements that begin or end transactions are refused.
    public func query(_ sql: SQL, scope: String? = nil, lane: PostgresLane = .shared) async throws(PostgresError) -> PostgresRows {
        let byteCount = try StatementRules.check(sql, in: configuration, insideTransaction: false)
        return try await perform(sql, scope: scope, kind: .statement(lane), byteCount: byteCount)
    }

    /// As `query`, for those who have no task that could wait. `completion` is called once: on the client's own thread, so it must be
    /// quick and must not block; on the caller's, before this returns, when the statement was refused.
    public func send(
        _ sql: SQL, scope: String? = nil, lane: PostgresLane = .shared,
        completion: @escaping @Sendable (Result<PostgresRows, PostgresError>) -> Void
    ) {
        do throws(PostgresError) {
            let byteCount = try StatementRules.check(sql, in: configuration, insideTransaction: false)
            let (segment, mailbox) = try accept(sql, scope: scope, kind: .statement(lane), byteCount: byteCount)
            guard segment.begin(.callback(completion)) else { return }
            if !mailbox.post(segment) { segment.answer(.failure(.shuttingDown)) }
        } catch {
            completion(.failure(error))
        }
    }

    /// BEGIN, the scope, `body`, COMMIT. Rolls back when `body` throws or the task is cancelled.
    public func withTransaction<R: Sendable>(
        scope: String? = nil, _ body: @Sendable (PostgresTransaction) async throws -> R
    ) async throws -> R {
        let lease = counters.leases.wrappingAdd(1, ordering: .relaxed).newValue
        _ = try await perform("BEGIN", scope: scope, kind: .begin(lease: lease), byteCount: 0)
        let transaction = PostgresTransaction(client: self, lease: lease)
        let value: R
        do {
            value = try await body(transaction)
            if Task.isCancelled { throw PostgresError(.canceled, "the task was cancelled before its transaction committed") }
        } catch {
            await rollBack(lease)
            throw error
        }
        _ = try await perform("COMMIT", scope: nil, kind: .end(lease: lease, commit: true), byteCount: 0)
        return value
    }

    /// If it fails the connection is dropped, which rolls back as well.
    private func rollBack(_ lease: Int) async {
        _ = try? await perform("ROLLBACK", scope: nil, kind: .end(lease: lease, commit: false), byteCount: 0)
    }

    func queryInTransaction(_ sql: SQL, lease: Int) async throws(PostgresError) -> PostgresRows {
        let byteCount = try StatementRules.check(sql, in: configuration, insideTransaction: true)
        return try await perform(sql, scope: nil, kind: .within(lease: lease), byteCount: byteCount)
    }

    public func statistics() -> PostgresStatistics {
        PostgresStatistics(
            connectionsUp: counters.connectionsUp.load(ordering: .relaxed), segments: counters.segments.load(ordering: .relaxed),
            groups: counters.groups.load(ordering: .relaxed), reruns: counters.reruns.load(ordering: .relaxed),
            reconnects: counters.reconnects.load(ordering: .relaxed), queued: counters.queued.load(ordering: .relaxed))
    }

    private func accept(
        _ sql: SQL, scope: String?, kind: SegmentKind, byteCount: Int
    ) throws(PostgresError) -> (Segment, Mailbox) {
        guard let mailbox else { throw startFailure ?? .shuttingDown }
        if let scope, scope.utf8.contains(0) { throw PostgresError(.decoding, "a scope cannot hold U+0000") }
        try checkRoom(kind, byteCount)
        return (Segment(sql, scope: scope, kind: kind, byteCount: byteCount, counters: counters), mailbox)
    }

    private func perform(
        _ sql: SQL, scope: String?, kind: SegmentKind, byteCount: Int
    ) async throws(PostgresError) -> PostgresRows {
        let (segment, mailbox) = try accept(sql, scope: scope, kind: kind, byteCount: byteCount)
        if case .end = kind { return try await PostgresClient.wait(for: segment, in: mailbox).get() }
        let answer = await withTaskCancellationHandler {
            await PostgresClient.wait(for: segment, in: mailbox)
        } onCancel: {
            if segment.cancel() { mailbox.postCanceled(segment) }
        }
        return try answer.get()
    }

    private static func wait(for segment: Segment, in mailbox: Mailbox) async -> Segment.Answer {
        await withUnsafeContinuation { continuation in
            guard segment.begin(.waiting(continuation)) else { return }
            if !mailbox.post(segment) { segment.answer(.failure(.shuttingDown)) }
        }
    }

    private func checkRoom(_ kind: SegmentKind, _ byteCount: Int) throws(PostgresError) {
        switch kind {
        case .within, .end: return
        case .begin, .statement: break
        }
        guard counters.queued.load(ordering: .relaxed) < configuration.maxQueuedSegments else {
            throw PostgresError(.queueFull, "\(configuration.maxQueuedSegments) statements wait already")
        }
        guard counters.queuedBytes.load(ordering: .relaxed) <= configuration.maxQueuedBytes - byteCount else {
            throw PostgresError(.queueFull, "\(configuration.maxQueuedBytes) bytes of statements wait already")
        }
    }
}

/// An open transaction; good only inside the body it was given to.
public struct PostgresTransaction: Sendable {
    let client: PostgresClient
    let lease: Int

    /// After an error the transaction can only be rolled back (sqlState 25P02), unless the body works with savepoints.
    public func query(_ sql: SQL) async throws(PostgresError) -> PostgresRows {
        try await client.queryInTransaction(sql, lease: lease)
    }
}
