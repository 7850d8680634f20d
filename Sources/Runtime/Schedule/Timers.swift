import Domain
import JSON
import Logging
import Storage

/// Timers whose time has come.
struct Timers: Sendable {
    private let database: Database
    private let runs: RunService
    private let fired: MetricCounter
    private let logger: Logger

    init(database: Database, runs: RunService, metrics: MetricsRegistry, logger: Logger) {
        self.database = database
        self.runs = runs
        fired = metrics.counter("hsafa_timers_fired_total", help: "Timers of waiting tools whose result this process wrote.")
        self.logger = logger
    }

    func fire(_ due: DueCall) async {
        do {
            let outcome = ToolOutcome.result(.object { $0.field("firedAt", string: Timestamp.now().description) }, source: .server)
            switch try await runs.settle(due.scope, due.runID, due.callID, outcome) {
            case .applied: fired.add()
            // Its outcome was written by one who did not know of this row.
            case .nothingToDo: try await database.tenant(due.scope).unschedule(due.callID, of: due.runID)
            case .pastDeadline: break
            }
        } catch {
            // Taken again when the lease has run out.
            logger.warning("a timer did not fire; it is tried again", metadata: ["run": "\(due.runID)", "cause": "\(error)"])
        }
    }
}

extension RunService {
    /// The outcome of a call that this process was waiting for. Too late: the call has expired instead, and is written so.
    func settle(_ scope: TenantScope, _ run: RunID, _ call: CallID, _ outcome: ToolOutcome) async throws -> Decision.Answer {
        let decision = try await decide(scope, run) { RunMachine.record(outcome, of: call, in: $0) }
        guard decision.answer == .pastDeadline else { return decision.answer }
        _ = try await decide(scope, run) { RunMachine.expire(call, in: $0) }
        return .pastDeadline
    }
}
