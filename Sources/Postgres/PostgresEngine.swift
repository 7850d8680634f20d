import CLinux
import Glibc
import Logging
import Synchronization

/// Everything between callers and connections; lives on the reactor thread, entered by `ready` and `tick` only.
actor PostgresEngine {
    nonisolated let reactor: ReactorExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// Parameters that one group may carry: what is beyond waits for the next, so that a group is never slow for its size.
    static let maxGroupBytes = 1 << 20
    static let maxPendingPerTransaction = 64
    /// A segment that keeps failing through no fault of its own is told so in the end.
    static let maxAttempts = 4
    static let maxCancelsUnderWay = 16

    let configuration: PostgresConfiguration
    let mailbox: Mailbox
    let counters: EngineCounters
    let logger: Logger
    var shared: Lane
    var leased: FairLane
    var lists: FairLane
    var leases: [Int: Lease] = [:]
    var byDescriptor: [Int32: Connection] = [:]
    var cancelsUnderWay: Set<Int> = []
    var lastCancelToken = 0
    var inbox = Mailbox.Content()
    var done: [Group] = []
    /// Who waits in `run()`.
    var runners: [UnsafeContinuation<Void, Never>] = []
    var now: Int64
    var isStarted = false
    /// When shutdown stops waiting for what is in flight.
    var graceEnd: Int64?
    var hasEnded = false

    init(
        configuration: PostgresConfiguration, reactor: ReactorExecutor, mailbox: Mailbox, counters: EngineCounters, logger: Logger
    ) {
        self.configuration = configuration
        self.reactor = reactor
        self.mailbox = mailbox
        self.counters = counters
        self.logger = logger
        now = PostgresEngine.monotonicMilliseconds()
        let arena = ParameterArena()
        let sharedCount = max(1, configuration.sharedConnections)
        let leasedCount = max(1, configuration.transactionConnections)
        let listCount = max(1, configuration.listConnections)
        var identity = 0
        func connections(_ lane: LaneName, _ count: Int, _ configuration: PostgresConfiguration) -> [Connection] {
            (0..<count).map { _ in
                defer { identity += 1 }
                return Connection(identity: identity, lane: lane, configuration: configuration, arena: arena, logger: logger)
            }
        }
        shared = Lane(connections: connections(.shared, sharedCount, configuration), downSince: now)
        leased = FairLane(
            connections: connections(.leased, leasedCount, configuration), share: configuration.transactionsPerScope,
            waitMilliseconds: configuration.leaseTimeoutMilliseconds, maxWaiting: configuration.maxQueuedTransactions,
            maxWaitingPerScope: configuration.maxQueuedPerScope, downSince: now)
        lists = FairLane(
            connections: connections(.lists, listCount, configuration.forLists), share: configuration.listsPerScope,
            waitMilliseconds: configuration.listWaitMilliseconds, maxWaiting: configuration.maxQueuedLists,
            maxWaitingPerScope: configuration.maxQueuedPerScope, downSince: now)
    }

    static func monotonicMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// One turn of the loop. Returns how long it may sleep.
    func tick() -> Int32 {
        guard !hasEnded else { return -1 }
        now = PostgresEngine.monotonicMilliseconds()
        mailbox.take(into: &inbox)
        for segment in inbox.segments { admit(segment) }
        for segment in inbox.canceled { forgetCanceled(segment) }
        for token in inbox.endedCancels { cancelEnded(token) }
        runners.append(contentsOf: inbox.runners)
        if inbox.startRequested { isStarted = true }
        if inbox.shutDownRequested, graceEnd == nil { beginShutDown() }
        inbox.removeAll()
        let nextDeadline = checkDeadlines()
        pumpShared()
        pumpLeased()
        while let connection = lists.available(), let segment = lists.next() { send([segment], on: connection) }
        if graceEnd != nil, endIfDone() { return -1 }
        let gatheringEnd = shared.isGathering(now: now) ? shared.gatheringEnd : nil
        guard let nextDeadline = [nextDeadline, gatheringEnd].compactMap(\.self).min() else { return -1 }
        return Int32(clamping: max(1, nextDeadline - now))
    }

    private func admit(_ segment: Segment) {
        segment.arrivedAt = now
        switch segment.kind {
        case .statement(.slow), .begin: if let refusal = leased.append(segment) { segment.answer(.failure(refusal)) }
        case .statement(.list): if let refusal = lists.append(segment) { segment.answer(.failure(refusal)) }
        case .statement: shared.queue.append(segment)
        case .within(let identity), .end(let identity, _):
            guard let lease = leases[identity] else {
                segment.answer(
                    .failure(PostgresError(.connection, "the transaction is over: its connection was lost, or its body has returned")))
                return
            }
            if case .within = segment.kind, lease.pending.count >= PostgresEngine.maxPendingPerTransaction {
                segment.answer(.failure(PostgresError(.queueFull, "too many statements at once in one transaction")))
                return
            }
            lease.pending.append(segment)
        }
    }

    // MARK: Sending

    private func pumpShared() {
        while !shared.isGathering(now: now), let connection = shared.available() {
            let segments = shared.nextGroup(maxCount: max(1, configuration.maxGroup), maxBytes: PostgresEngine.maxGroupBytes)
            if segments.isEmpty { break }
            send(segments, on: connection)
        }
    }

    private func pumpLeased() {
        for connection in leased.connections {
            guard let lease = connection.lease, connection.load == 0, connection.cancelToken == nil else { continue }
            while connection.load == 0, connection.isUp, let segment = lease.pending.popFirst() {
                if segment.markSent() { send([segment], on: connection) }
            }
        }
        while let connection = leased.available(), let segment = leased.next() {
            if case .begin(let identity) = segment.kind {
                let lease = Lease(identity: identity, scope: ScopeKey(segment.scope), connection: connection)
                connection.lease = lease
                leases[identity] = lease
            }
            send([segment], on: connection)
        }
    }

    private func send(_ segments: [Segment], on connection: Connection) {
        counters.segments.wrappingAdd(segments.count, ordering: .relaxed)
        counters.groups.wrappingAdd(1, ordering: .relaxed)
        guard connection.send(Group(segments), now: now) else { return lose(connection, connection.errorText) }
        flush(connection)
    }

    func flush(_ connection: Connection) {
        // After a failed write the read side still holds answers, and the server's reason; epoll reports the end of it.
        let wantsToWrite = connection.flush() ?? false
        watch(connection, UInt32(CLINUX_IN) | (wantsToWrite ? UInt32(CLINUX_OUT) : 0))
    }

    func watch(_ connection: Connection, _ events: UInt32) {
        guard connection.watched != events, connection.descriptor >= 0 else { return }
        connection.watched = events
        reactor.change(connection.descriptor, events: events)
    }

    // MARK: Receiving

    func ready(_ descriptor: Int32, _ events: UInt32) {
        guard let connection = byDescriptor[descriptor] else { return }
        guard connection.isUp else { return continueConnecting(connection) }
        if events & UInt32(CLINUX_OUT) != 0 { flush(connection) }
        let reception = connection.receive(now: now, into: &done)
        for group in done { finish(group, on: connection) }
        done.removeAll(keepingCapacity: true)
        switch reception {
        case .alive: break
        case .lost(let reason): lose(connection, reason)
        case .oversized: stopFlood(on: connection)
        }
    }

    /// The head group's answer is too large: let the server stop it; if it does not, drop the connection.
    private func stopFlood(on connection: Connection) {
        guard let group = connection.inFlight.first else { return }
        if connection.isFlooded { return lose(connection, "a result was larger than \(configuration.maxResultBytes) bytes") }
        guard !group.isOversized else { return }
        group.isOversized = true
        requestCancel(on: connection)
        // What is not read stays with the server, which stops at its next row.
        if connection.cancelToken != nil { watch(connection, 0) }
    }
}
