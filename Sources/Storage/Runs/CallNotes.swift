import Domain
import JSON
import Postgres

extension TenantDatabase {
    /// The decision, and what goes with it: approvals, rows of the audit log, what is due at a time, a run that a call starts. They are
    /// written by functions that the statement calls once it is known that the decision was applied, so they see the rows that it wrote,
    /// and nothing of them is written without it.
    func noting(_ transition: RunTransition, of run: RunID, _ decision: SQL) -> SQL {
        guard
            !transition.held.isEmpty || !transition.settled.isEmpty || !transition.decisions.isEmpty || !transition.schedules.isEmpty
                || transition.child != nil
        else { return decision }
        var parameters = decision.parameters + [PostgresValue(tenantID), PostgresValue(run)]
        let (tenant, place) = (parameters.count - 1, parameters.count)
        var notes: [String] = []
        func note(_ function: String, _ values: [PostgresValue]) {
            let places = values.indices.map { "$\(parameters.count + $0 + 1)" }.joined(separator: ", ")
            parameters += values
            notes.append(
                "CASE WHEN answer = 'applied' THEN hsafa.\(function)($\(tenant), $\(place), \(places)) END AS noted_\(notes.count)")
        }
        if !transition.held.isEmpty || !transition.settled.isEmpty {
            let (held, settled) = (transition.held, transition.settled)
            note(
                "note_approvals",
                [
                    PostgresValue(held.map(\.callID)), PostgresValue(held.map(\.callHash)),
                    PostgresValue(held.map { Int32($0.expiresSeconds) }),
                    PostgresValue(held.map { hold in RawJSON.array { list in for rule in hold.rules { list.string(rule) } }.string }),
                    PostgresValue(settled.map(\.callID)), PostgresValue(settled.map(\.status.rawValue)),
                    PostgresValue(settled.map { Int32($0.timeoutSeconds ?? 0) }),
                ])
        }
        if !transition.schedules.isEmpty {
            note(
                "note_schedules",
                [
                    PostgresValue(transition.schedules.map(\.callID)), PostgresValue(transition.schedules.map(\.kind.rawValue)),
                    PostgresValue(transition.schedules.map { $0.due.postgresText }),
                ])
        }
        if !transition.decisions.isEmpty {
            note(
                "note_decisions",
                [
                    PostgresValue(transition.decisions.map { _ in AuditRowID.generate() }),
                    PostgresValue(transition.decisions.map(\.callID.description)),
                    PostgresValue(transition.decisions.map(\.details.string)),
                ])
        }
        if let child = transition.child {
            note(
                "start_child_run",
                [
                    PostgresValue(child.parent.callID), PostgresValue(child.runID), PostgresValue(child.agentID),
                    PostgresValue(child.agentName), PostgresValue(child.versionID), PostgresValue(child.parent.rootRunID),
                    PostgresValue(Int32(child.parent.depth)), PostgresValue(Int32(Limits.maxRunsOfTree)),
                    PostgresValue(child.created.data.string), PostgresValue(child.time),
                    PostgresValue(AuditRowID.generate()),
                ])
        }
        let text = """
            WITH written AS MATERIALIZED (\(decision.text))
            SELECT answer, last_seq, lease_owner, \(notes.joined(separator: ", ")) FROM written
            """
        return SQL(unsafeSQL: text, parameters: parameters)
    }
}

extension ScheduleChange.Due {
    /// As `note_schedules` reads it.
    fileprivate var postgresText: String {
        switch self {
        case .now: "now"
        case .at(let time): time.description
        case .held: "infinity"
        case .never: "never"
        }
    }
}
