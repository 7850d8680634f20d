public import Domain
import FoundationEssentials
import JSON
public import Postgres

public struct TransitionAnswer: Sendable {
    public enum Verdict: String, Sendable {
        case applied, conflict, fenced
        case notFound = "not_found"
        case pastDeadline = "past_deadline"
    }

    public let verdict: Verdict
    /// The seq of the last event that was written; 0 unless applied.
    public let lastSeq: Int64
    /// Who holds the run's lease and should hear of what was written.
    public let leaseOwner: ReplicaID?
}

extension TenantChanges {
    /// A transition that somebody asked for, in the audit log if it was applied.
    public func transition(
        _ transition: RunTransition, of run: RunID, after: Int64, at time: Timestamp, _ entry: AuditEntry
    ) async throws(PostgresError) -> TransitionAnswer {
        let change = database.transitionStatement(transition, of: run, after: after, claim: nil, at: time)
        let parts = SQL(unsafeSQL: "change AS (\(change.text))", parameters: change.parameters)
        let statement = statement(entry, with: parts, where: "answer = 'applied'")
        return try await database.decided(statement)
    }
}

extension TenantDatabase {
    /// Appends events that change nothing but the log, after `after`. nil is a conflict: someone else has written; read and decide again.
    public func append(
        _ events: [NewRunEvent], to run: RunID, after: Int64, claim: Int32, at time: Timestamp
    ) async throws(PostgresError) -> Int64? {
        guard !events.isEmpty else { return after }
        guard let appends else { throw PostgresError(.configuration, "an append is a transaction of its own") }
        let isWritten = try await appends.append(events, to: run, of: tenantID, after: after, claim: claim, at: time)
        return isWritten ? after + Int64(events.count) : nil
    }

    /// Writes all of a decision or nothing of it. `claim` is the worker's; nil for those who write from outside.
    public func transition(
        _ transition: RunTransition, of run: RunID, after: Int64, claim: Int32?, at time: Timestamp
    ) async throws(PostgresError) -> TransitionAnswer {
        try await decided(transitionStatement(transition, of: run, after: after, claim: claim, at: time))
    }

    fileprivate func decided(_ statement: SQL) async throws(PostgresError) -> TransitionAnswer {
        let rows: PostgresRows
        do throws(PostgresError) { rows = try await query(statement, lane: .alone) } catch {
            // A person decided after the approval's expiry (`note_approvals`): nothing was written.
            guard error.sqlState == "HS410" else { throw error }
            return TransitionAnswer(verdict: .pastDeadline, lastSeq: 0, leaseOwner: nil)
        }
        guard let row = rows.first else { throw PostgresError(.decoding, "transition_run gave no row") }
        return TransitionAnswer(
            verdict: try row.decodeCase(0), lastSeq: try row.decode(1, as: Int64?.self) ?? 0, leaseOwner: try row.decode(2))
    }

    func transitionStatement(_ transition: RunTransition, of run: RunID, after: Int64, claim: Int32?, at time: Timestamp) -> SQL {
        let calls = transition.newCalls
        let outcomes = transition.outcomes
        let decision: SQL = """
            SELECT answer, last_seq, lease_owner FROM hsafa.transition_run(
                \(tenantID), \(run), \(after), \(claim), \(transition.events.map(\.type.rawValue)), \(transition.events.map(\.data.string)),
                \(time), \(transition.status?.rawValue), \(transition.resumeReason), \((transition.usage?.inputTokens).map(Int64.init)),
                \((transition.usage?.outputTokens).map(Int64.init)), \(transition.error?.code), \(transition.error?.message),
                \(calls.map(\.callID)), \(calls.map(\.providerCallID)), \(calls.map(\.tool)), \(calls.map(\.target.rawValue)),
                \(calls.map(\.arguments.string)), \(calls.map { $0.device?.json.string }), \(calls.map { Int32($0.timeoutSeconds) }),
                \(outcomes.map(\.callID)), \(outcomes.map(\.outcome.status.rawValue)), \(outcomes.map(\.outcome.source.rawValue)),
                \(outcomes.map { $0.outcome.result?.string }), \(outcomes.map { $0.outcome.error?.json.string }),
                \(transition.dispatches.map(\.callID)), \(transition.dispatches.map(\.deviceID)))
            """
        let noted = noting(transition, of: run, decision)
        return transition.spending.map { counting($0, of: run, noted) } ?? noted
    }

    /// The decision, and in the same statement what it cost: in the books if it was applied, and only then.
    private func counting(_ spending: TokenSpending, of run: RunID, _ decision: SQL) -> SQL {
        let first = decision.parameters.count + 1
        let values: [PostgresValue] = [
            PostgresValue(tenantID), PostgresValue(run), PostgresValue(Int32(spending.day.daysSinceUnixEpoch)),
            PostgresValue(spending.model), PostgresValue(Int64(spending.usage.inputTokens)),
            PostgresValue(Int64(spending.usage.outputTokens)),
        ]
        let text = """
            WITH decided AS MATERIALIZED (\(decision.text)), counted AS (
                INSERT INTO hsafa.usage_daily AS u (tenant_id, day, model, stripe, input_tokens, output_tokens, model_calls)
                SELECT $\(first), '1970-01-01'::date + $\(first + 2), $\(first + 3), (get_byte(uuid_send($\(first + 1)), 15) & 63)::smallint,
                    $\(first + 4), $\(first + 5), 1
                FROM decided WHERE answer = 'applied'
                ON CONFLICT (tenant_id, day, model, stripe) DO UPDATE SET
                    input_tokens = u.input_tokens + excluded.input_tokens,
                    output_tokens = u.output_tokens + excluded.output_tokens, model_calls = u.model_calls + 1
            )
            SELECT answer, last_seq, lease_owner FROM decided
            """
        return SQL(unsafeSQL: text, parameters: decision.parameters + values)
    }

    /// The fold of a run's log, deltas left out but counted; nil when there is no such run.
    public func fold(_ run: RunID) async throws -> RunState? {
        var state = RunState()
        _ = try await refold(&state, of: run)
        return state.lastSeq == 0 ? nil : state
    }

    /// Reads on from what `state` has seen, and returns the events that it was given (deltas excepted). Everything comes from one
    /// statement, so state and `lastSeq` fit together.
    public func refold(_ state: inout RunState, of run: RunID) async throws -> [RunEvent] {
        let rows = try await query(foldStatement(run, after: state.lastSeq))
        var last: Int64 = 0
        var events: [RunEvent] = []
        for (index, row) in rows.enumerated() {
            let event = try Self.event(row)
            if index == rows.count - 1 {
                last = event.seq
            } else {
                try state.apply(event)
                events.append(event)
            }
        }
        // What had been seen is gone: there is no such run any more.
        if rows.isEmpty { state = RunState() }
        state.skip(to: last)
        return events
    }

    /// What is to be folded, and behind it the last row, which only tells how far the log goes.
    package func foldStatement(_ run: RunID, after: Int64) -> SQL {
        """
        (SELECT seq, type, data, ts, claim_number FROM hsafa.run_events
         WHERE tenant_id = \(tenantID) AND run_id = \(run) AND seq > \(after)
           AND type NOT IN ('assistant.delta', 'reasoning.delta') ORDER BY seq)
        UNION ALL
        (SELECT seq, type, '{}'::json, ts, claim_number FROM hsafa.run_events
         WHERE tenant_id = \(tenantID) AND run_id = \(run) ORDER BY seq DESC LIMIT 1)
        """
    }

    /// Events after a seq, in order, deltas included.
    public func events(
        of run: RunID, after: Int64, limit: Int, types: [RunEventType]? = nil
    ) async throws(PostgresError) -> [RunEvent] {
        try await query(eventsStatement(of: run, after: after, limit: limit, types: types)).mapRows(Self.event)
    }

    package func eventsStatement(of run: RunID, after: Int64, limit: Int, types: [RunEventType]?) -> SQL {
        """
        SELECT seq, type, data, ts, claim_number FROM hsafa.run_events
        WHERE tenant_id = \(tenantID) AND run_id = \(run) AND seq > \(after)
          AND (\(types == nil) OR type = ANY(\(types?.map(\.rawValue) ?? [])))
        ORDER BY seq LIMIT \(limit)
        """
    }

    /// A page of the log: of `limit` events as many as hold `maxBytes` of data together, and one at least. Its cursor is the seq of its
    /// last event; nil where the log ends with it.
    public func eventPage(
        of run: RunID, after: Int64, limit: Int, maxBytes: Int = Limits.maxEventsPageBytes, types: [RunEventType]? = nil
    ) async throws(PostgresError) -> Page<RunEvent> {
        let rows = try await query(
            """
            SELECT seq, type, data, ts, claim_number, found FROM (
                SELECT seq, type, data, ts, claim_number, count(*) OVER () AS found, row_number() OVER (ORDER BY seq) AS position,
                    sum(octet_length(data::text)) OVER (ORDER BY seq) AS bytes
                FROM (
                    SELECT seq, type, data, ts, claim_number FROM hsafa.run_events
                    WHERE tenant_id = \(tenantID) AND run_id = \(run) AND seq > \(after)
                      AND (\(types == nil) OR type = ANY(\(types?.map(\.rawValue) ?? [])))
                    ORDER BY seq LIMIT \(limit + 1)
                ) asked
            ) counted
            WHERE position = 1 OR (position <= \(limit) AND bytes <= \(maxBytes))
            ORDER BY seq
            """, lane: .list)
        let events = try rows.mapRows(Self.event)
        let found = try rows.first?.decode(5, as: Int.self) ?? 0
        return Page(items: events, next: found > events.count ? events.last.map { String($0.seq) } : nil)
    }

    /// How far the log goes; nil when there is no such run.
    public func position(of run: RunID) async throws(PostgresError) -> (lastSeq: Int64, status: RunStatus)? {
        let rows = try await query(
            """
            SELECT r.status, coalesce(
                (SELECT e.seq FROM hsafa.run_events e WHERE e.tenant_id = \(tenantID) AND e.run_id = \(run) ORDER BY e.seq DESC LIMIT 1), 0)
            FROM hsafa.runs r WHERE r.tenant_id = \(tenantID) AND r.run_id = \(run)
            """)
        guard let row = rows.first else { return nil }
        return (try row.decode(1), try row.decodeCase(0))
    }

    static func event(_ row: PostgresRow) throws(PostgresError) -> RunEvent {
        RunEvent(
            seq: try row.decode(0), type: try row.decodeCase(1), time: try row.decode(3), claimNumber: try row.decode(4),
            data: try row.decode(2))
    }
}
