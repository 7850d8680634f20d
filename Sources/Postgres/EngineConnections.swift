import CLibPQ
import CLinux
import Logging
import Synchronization

/// Making, losing and watching over connections.
extension PostgresEngine {
    /// Full jitter over 50 ms doubling to 2 s, so that replicas do not come back all at once.
    private func backOffMilliseconds(_ attempts: Int) -> Int64 {
        let ceiling = min(2000, 50 << min(attempts, 6))
        return Int64(Int.random(in: ceiling / 2...ceiling))
    }

    func startConnecting(_ connection: Connection) {
        guard connection.startConnecting(now: now) else { return lose(connection, connection.errorText) }
        watchSocket(connection, UInt32(CLINUX_OUT))
    }

    /// libpq may change its socket between polls (the next host, TLS refused), so it is taken anew each time.
    private func watchSocket(_ connection: Connection, _ events: UInt32) {
        guard let handle = connection.handle else { return }
        let descriptor = PQsocket(handle)
        connection.descriptor = descriptor
        connection.watched = events
        byDescriptor[descriptor] = connection
        reactor.watch(descriptor, events: events)
    }

    private func unwatchSocket(_ connection: Connection) {
        guard connection.descriptor >= 0 else { return }
        reactor.unwatch(connection.descriptor)
        byDescriptor[connection.descriptor] = nil
        connection.descriptor = -1
        connection.watched = 0
    }

    func continueConnecting(_ connection: Connection) {
        guard let handle = connection.handle else { return }
        unwatchSocket(connection)
        switch PQconnectPoll(handle) {
        case PGRES_POLLING_READING: watchSocket(connection, UInt32(CLINUX_IN))
        case PGRES_POLLING_WRITING: watchSocket(connection, UInt32(CLINUX_OUT))
        case PGRES_POLLING_OK:
            guard connection.enterPipeline() else { return lose(connection, connection.errorText) }
            watchSocket(connection, UInt32(CLINUX_IN))
            counters.connectionsUp.wrappingAdd(1, ordering: .relaxed)
            if connection.hasBeenUp { counters.reconnects.wrappingAdd(1, ordering: .relaxed) }
            connection.hasBeenUp = true
            switch connection.lane {
            case .shared: shared.downSince = nil
            case .leased: leased.downSince = nil
            case .lists: lists.downSince = nil
            }
            logger.debug("connected to Postgres", metadata: ["connection": "\(connection.identity)"])
        default: lose(connection, connection.errorText)
        }
    }

    /// Closes it and answers those whose statements were on it. What was not sent stays queued.
    func lose(_ connection: Connection, _ reason: String) {
        let wasUp = connection.isUp
        if wasUp { counters.connectionsUp.wrappingSubtract(1, ordering: .relaxed) }
        unwatchSocket(connection)
        let retryAt = now + backOffMilliseconds(connection.failedAttempts)
        connection.failedAttempts += 1
        let isFlooded = connection.isFlooded
        let lost = connection.close(retryAt: retryAt)
        for group in lost {
            for segment in group.segments {
                let error =
                    isFlooded && group.isOversized
                    ? PostgresError.oversized(limit: configuration.maxResultBytes, mayHaveRun: segment.mayHaveRunOnceSent)
                    : PostgresError(
                        .connection, "the connection was lost while the statement was running: \(reason)",
                        mayHaveRun: segment.mayHaveRunOnceSent)
                segment.answer(.failure(error))
            }
        }
        if let lease = connection.lease {
            for segment in lease.pending.removeAll() {
                segment.answer(.failure(PostgresError(.connection, "the transaction's connection was lost: \(reason)")))
            }
            leases[lease.identity] = nil
            connection.lease = nil
        }
        switch connection.lane {
        case .shared: shared.noteLoss(reason, at: now)
        case .leased: leased.noteLoss(reason, at: now)
        case .lists: lists.noteLoss(reason, at: now)
        }
        guard !hasEnded, graceEnd == nil else { return }
        logger.warning(
            wasUp ? "the connection to Postgres was lost" : "no connection to Postgres",
            metadata: ["connection": "\(connection.identity)", "reason": "\(reason)", "retryInMilliseconds": "\(retryAt - now)"])
    }

    var allConnections: [Connection] { shared.connections + leased.connections + lists.connections }

    // MARK: Deadlines

    /// Does what is due and returns when the next is.
    func checkDeadlines() -> Int64? {
        var next = Int64.max
        for connection in shared.connections { next = min(next, checkDeadline(of: connection)) }
        for connection in leased.connections { next = min(next, checkDeadline(of: connection)) }
        for connection in lists.connections { next = min(next, checkDeadline(of: connection)) }
        next = min(next, expireWaiters(in: &shared), expireWaiters(in: &leased), expireWaiters(in: &lists), graceEnd ?? .max)
        return next == .max ? nil : next
    }

    private func checkDeadline(of connection: Connection) -> Int64 {
        switch connection.state {
        case .down(let retryAt):
            guard isStarted, graceEnd == nil else { return .max }
            guard retryAt <= now else { return retryAt }
            startConnecting(connection)
            return now + 1
        case .connecting(let deadline):
            guard deadline <= now else { return deadline }
            lose(connection, "no answer within \(configuration.connectTimeoutSeconds) s")
            return now + 1
        case .up:
            // The server ends each statement at its timeout; one that says nothing for longer is hung or gone.
            let timeout = connection.configuration.statementTimeoutMilliseconds
            guard connection.load > 0, timeout > 0 else { return .max }
            let deadline = connection.headSince + Int64(timeout) * 2 + 5000
            guard deadline <= now else { return deadline }
            lose(connection, "the server did not answer within \(deadline - connection.headSince) ms")
            return now + 1
        }
    }

    private func expireWaiters(in lane: inout some ConnectionLane) -> Int64 {
        let connectTimeout = Int64(max(1, configuration.connectTimeoutSeconds)) * 1000
        let (wait, downSince) = (lane.waitMilliseconds, lane.downSince)
        func deadline(_ segment: Segment) -> Int64 {
            let byWait = wait.map { segment.arrivedAt + $0 } ?? .max
            guard let downSince else { return byWait }
            return min(byWait, max(segment.arrivedAt, downSince) + connectTimeout)
        }
        let error =
            downSince == nil
            ? PostgresError(.turn, "its turn did not come within \(wait ?? 0) ms: all connections that it may have are held by others")
            : PostgresError(.connection, "no connection to Postgres: \(lane.lastFailure)")
        while let segment = lane.reruns.first, segment.isAnswered || deadline(segment) <= now {
            _ = lane.reruns.popFirst()
            segment.answer(.failure(error))
        }
        while let segment = lane.longestWaiting, segment.isAnswered || deadline(segment) <= now {
            lane.dropLongestWaiting()
            segment.answer(.failure(error))
        }
        return min(lane.reruns.first.map(deadline) ?? .max, lane.longestWaiting.map(deadline) ?? .max)
    }

    // MARK: The end

    func beginShutDown() {
        graceEnd = now + Int64(max(0, configuration.shutDownGraceMilliseconds))
        for segment in removeWaiting() { segment.answer(.failure(.shuttingDown)) }
    }

    private func removeWaiting() -> [Segment] { shared.removeAll() + leased.removeAll() + lists.removeAll() }

    /// True when all is closed.
    func endIfDone() -> Bool {
        let all = allConnections
        let isIdle =
            all.allSatisfy { $0.load == 0 && $0.lease == nil && $0.cancelToken == nil } && shared.reruns.isEmpty && leased.reruns.isEmpty
            && lists.reruns.isEmpty
        guard isIdle || (graceEnd ?? 0) <= now else { return false }
        hasEnded = true
        for connection in all where connection.handle != nil { lose(connection, "the client is shut down") }
        let rest = mailbox.close()
        for segment in removeWaiting() + rest.segments { segment.answer(.failure(.shuttingDown)) }
        for runner in rest.runners { runner.resume() }
        for runner in runners { runner.resume() }
        runners = []
        reactor.stop()
        return true
    }
}
