import Domain
import JSON
import Postgres

/// One writer's events on their way into its run's log, all of them or none.
struct PendingAppend: Sendable {
    /// Whether they went in; false is a conflict.
    typealias Answer = Result<Bool, PostgresError>

    let run: RunID
    let after: Int64
    let claim: Int32
    let events: [NewRunEvent]
    let time: Timestamp
    let waiter: UnsafeContinuation<Answer, Never>

    var byteCount: Int { events.reduce(0) { $0 + $1.data.bytes.count } }

    func answer(_ answer: Answer) { waiter.resume(returning: answer) }
}

/// Appends of one tenant that share a statement, at most one for each run.
struct AppendBatch: Sendable {
    let appends: [PendingAppend]

    init(_ appends: [PendingAppend]) { self.appends = appends }

    /// Takes what fits, the oldest first; the first always does.
    init(takenFrom waiting: inout [PendingAppend]) {
        var taken: [PendingAppend] = []
        var runs: Set<RunID> = []
        var left: [PendingAppend] = []
        var (events, bytes) = (0, 0)
        for append in waiting {
            events += append.events.count
            bytes += append.byteCount
            let fits = events <= Limits.maxEventsPerStatement && bytes <= Limits.maxBytesPerAppendStatement
            // A stale writer and its successor may both be here: which of them comes first is for the log to say.
            if taken.isEmpty || (fits && !runs.contains(append.run)) {
                taken.append(append)
                runs.insert(append.run)
            } else {
                left.append(append)
            }
        }
        waiting = left
        // Everybody takes rows in one order, so that two statements never wait for each other.
        appends = taken.sorted { $0.run < $1.run }
    }

    /// Returns the runs whose first event went in. Events after an append's first go in only if the first did.
    func statement(of tenant: TenantID) -> SQL {
        let first = EventColumns(appends, 0..<1)
        let rest = EventColumns(appends, 1..<Int.max)
        guard !rest.runs.isEmpty else {
            return """
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                SELECT \(tenant), e.* FROM unnest(
                    \(first.runs), \(first.seqs), \(first.types), \(first.data), \(first.times), \(first.claims)) AS e
                ON CONFLICT DO NOTHING RETURNING run_id
                """
        }
        return """
            WITH first AS (
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                SELECT \(tenant), e.* FROM unnest(
                    \(first.runs), \(first.seqs), \(first.types), \(first.data), \(first.times), \(first.claims)) AS e
                ON CONFLICT DO NOTHING RETURNING run_id
            ), rest AS (
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                SELECT \(tenant), e.* FROM unnest(
                    \(rest.runs), \(rest.seqs), \(rest.types), \(rest.data), \(rest.times), \(rest.claims))
                    AS e (run_id, seq, type, data, ts, claim_number)
                WHERE e.run_id IN (SELECT run_id FROM first)
            )
            SELECT run_id FROM first
            """
    }

    func answer(_ outcome: Result<PostgresRows, PostgresError>) {
        switch outcome {
        case .success(let rows):
            do throws(PostgresError) {
                let written = Set(try rows.mapRows { row throws(PostgresError) in try row.decode(0, as: RunID.self) })
                for append in appends { append.answer(.success(written.contains(append.run))) }
            } catch {
                for append in appends { append.answer(.failure(error)) }
            }
        case .failure(let error):
            for append in appends { append.answer(.failure(error)) }
        }
    }
}

/// Rows of the log, as `unnest` takes them.
private struct EventColumns {
    private(set) var runs: [RunID] = []
    private(set) var seqs: [Int64] = []
    private(set) var types: [String] = []
    private(set) var data: [PostgresJSON] = []
    private(set) var times: [Timestamp] = []
    private(set) var claims: [Int32] = []

    /// Of each append the events at `positions`.
    init(_ appends: [PendingAppend], _ positions: Range<Int>) {
        for append in appends {
            for index in positions.clamped(to: append.events.indices) {
                runs.append(append.run)
                seqs.append(append.after + Int64(index) + 1)
                types.append(append.events[index].type.rawValue)
                data.append(append.events[index].data.json)
                times.append(append.time)
                claims.append(append.claim)
            }
        }
    }
}
