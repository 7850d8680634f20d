import Logging
import Synchronization

/// What a complete group means for its callers.
extension PostgresEngine {
    func finish(_ group: Group, on connection: Connection) {
        if let failure = group.failure {
            settle(failure, of: group, on: connection)
        } else {
            for (segment, outcome) in zip(group.segments, group.outcomes) {
                settle(
                    segment, outcome ?? .failure(PostgresError(.connection, "the server gave no answer", mayHaveRun: true)), on: connection)
            }
        }
    }

    private func settle(_ failure: PostgresError, of group: Group, on connection: Connection) {
        guard let only = group.segments.first, group.segments.count == 1 else {
            // Postgres rolled all of them back; run one by one, only the guilty caller sees the error.
            for segment in group.segments { rerun(segment, in: .shared) }
            return
        }
        let isInnocent =
            switch group.trouble {
            case .staleStatement: true
            // A cancel request that was meant for another.
            case .statement: group.isExposedToCancel && !group.isOversized && failure.sqlState == "57014"
            }
        if isInnocent, only.attempts < PostgresEngine.maxAttempts, case .statement(let lane) = only.kind {
            return rerun(only, in: lane)
        }
        let oversized = group.isOversized && failure.sqlState == "57014"
        settle(
            only, .failure(oversized ? .oversized(limit: configuration.maxResultBytes, mayHaveRun: false) : failure), on: connection)
    }

    private func rerun(_ segment: Segment, in lane: PostgresLane) {
        guard segment.markForRerun() else { return }
        counters.reruns.wrappingAdd(1, ordering: .relaxed)
        segment.arrivedAt = now
        switch lane {
        case .shared, .alone: shared.reruns.append(segment)
        case .slow: leased.reruns.append(segment)
        case .list: lists.reruns.append(segment)
        }
    }

    private func settle(_ segment: Segment, _ answer: Segment.Answer, on connection: Connection) {
        switch segment.kind {
        case .statement: segment.answer(answer)
        case .begin(let identity):
            // Nobody took it over, or BEGIN went in and the scope did not.
            let isTaken = segment.answer(answer)
            if case .success = answer, isTaken { return }
            connection.lease?.pending.append(.detachedRollback(lease: identity, counters: counters))
        case .within:
            if case .failure(let error) = answer, connection.lease?.failure == nil, error.code != .tooLarge {
                connection.lease?.failure = error
            }
            segment.answer(answer)
        case .end(let identity, let commit): settleEnd(segment, answer, identity, commit, on: connection)
        }
    }

    private func settleEnd(
        _ segment: Segment, _ answer: Segment.Answer, _ identity: Int, _ commit: Bool, on connection: Connection
    ) {
        switch answer {
        case .success(let rows):
            let failure = connection.lease?.failure
            connection.lease = nil
            leases[identity] = nil
            if commit, rows.commandTag != "COMMIT" {
                // COMMIT of an aborted transaction is a ROLLBACK and no error to Postgres; to the caller it is.
                segment.answer(
                    .failure(failure ?? PostgresError(.server, "the transaction was aborted, so it was rolled back", sqlState: "25P02")))
            } else {
                segment.answer(answer)
            }
        case .failure(let error):
            segment.answer(answer)
            if commit {
                connection.lease?.pending.append(.detachedRollback(lease: identity, counters: counters))
            } else {
                lose(connection, "ROLLBACK failed: \(error.message)")
            }
        }
    }

    // MARK: Cancellation

    /// The caller is gone already: here its place is given back, and what runs for it alone is stopped.
    func forgetCanceled(_ segment: Segment) {
        switch segment.kind {
        case .statement(.shared), .statement(.alone): shared.noteCanceled()
        case .statement(.slow), .begin, .within:
            if !stop(segment, on: leased.connections) { leased.noteCanceled() }
        case .statement(.list):
            if !stop(segment, on: lists.connections) { lists.noteCanceled() }
        case .end: break
        }
    }

    /// False when it was not sent.
    private func stop(_ segment: Segment, on connections: [Connection]) -> Bool {
        guard let connection = connections.first(where: { $0.inFlight.contains { $0.segments.contains { $0 === segment } } }) else {
            return false
        }
        requestCancel(on: connection)
        return true
    }

    func requestCancel(on connection: Connection) {
        guard let handle = connection.handle, connection.cancelToken == nil,
            cancelsUnderWay.count < PostgresEngine.maxCancelsUnderWay
        else { return }
        lastCancelToken += 1
        guard CancelRequest.send(handle, token: lastCancelToken, mailbox: mailbox) else {
            logger.warning("a statement could not be cancelled: out of memory or threads")
            return
        }
        cancelsUnderWay.insert(lastCancelToken)
        connection.cancelToken = lastCancelToken
        for group in connection.inFlight { group.isExposedToCancel = true }
    }

    func cancelEnded(_ token: Int) {
        cancelsUnderWay.remove(token)
        for connection in allConnections where connection.cancelToken == token {
            connection.cancelToken = nil
            flush(connection)
        }
    }
}
