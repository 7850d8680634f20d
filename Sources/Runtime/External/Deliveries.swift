import Domain
import Logging
import Storage

/// Attempts to deliver calls to external tools, and what becomes of them. Each asks the gate anew.
struct Deliveries: Sendable {
    private let database: Database
    private let runs: RunService
    private let versions: VersionBook
    private let secrets: SecretService
    private let external: ExternalService
    private let egress: EgressGuard
    private let gate: ToolGate
    private let times: DueTimes
    private let timeout: Duration
    private let counters: Counters
    private let logger: Logger

    private struct Counters: Sendable {
        let answered: MetricCounter
        let accepted: MetricCounter
        let retried: MetricCounter

        init(_ metrics: MetricsRegistry) {
            func counter(_ outcome: String) -> MetricCounter {
                metrics.counter(
                    "hsafa_deliveries_total", help: "Attempts to post calls to external tools, by what came of them.",
                    labels: [("outcome", outcome)])
            }
            answered = counter("answered")
            accepted = counter("accepted")
            retried = counter("retry")
        }
    }

    init(
        database: Database, runs: RunService, versions: VersionBook, secrets: SecretService, external: ExternalService,
        egress: EgressGuard, gate: ToolGate, times: DueTimes, timeout: Duration, metrics: MetricsRegistry, logger: Logger
    ) {
        self.database = database
        self.runs = runs
        self.versions = versions
        self.secrets = secrets
        self.external = external
        self.egress = egress
        self.gate = gate
        self.times = times
        self.timeout = timeout
        counters = Counters(metrics)
        self.logger = logger
    }

    func attempt(_ due: DueCall) async {
        do { try await deliver(due) } catch {
            // What was posted and not written down is posted again, under the same id.
            guard !(error is CancellationError) else { return }
            let message = "The gateway could not make the attempt; it tries again."
            do { try await retry(due, message, cause: "\(error)", afterMilliseconds: nil) } catch {
                logger.warning("delivery cut short; it is tried again", metadata: ["run": "\(due.runID)", "cause": "\(error)"])
            }
        }
    }

    private func deliver(_ due: DueCall) async throws {
        guard let pass = try await gate.pass(due.callID, of: due.runID, agent: due.agentName, due.scope, runs) else {
            return try await dropIfOver(due)
        }
        // Too late: the sweep is about to write that it has expired.
        guard due.deadlineAt > .now() else { return }
        let config = try await versions.config(due.scope, due.versionID)
        guard let endpoint = config.tool(named: pass.tool)?.external else {
            return try await end(
                due, .failed(ToolError(code: "unknown_tool", message: "The agent has no tool of this name."), source: .gateway))
        }
        let signers = try await external.signers(due.scope)
        guard !signers.isEmpty, let token = external.token(due) else {
            let message = "This tenant has no signing secret with which its tools could be called."
            return try await end(due, .failed(ToolError(code: "no_signing_secret", message: message), source: .gateway))
        }
        let named = try await secrets.open(config.secretNames, due.scope)
        let values = SecretValues(named)
        let delivery = Delivery(
            due: due, endpoint: endpoint, values: values, secrets: named.filter { endpoint.secretNames.contains($0.name) },
            signers: signers, resultURL: external.resultURL(due.callID), resultToken: token, egress: egress,
            timeout: timeout)
        let answer = try await delivery.post(pass)
        switch answer.meaning {
        case .outcome(let outcome):
            counters.answered.add()
            try await end(due, values.cut(from: outcome))
        case .accepted:
            counters.accepted.add()
            _ = try await runs.decide(due.scope, due.runID) { RunMachine.accept(due.callID, attempt: due.attempt, in: $0) }
        case .retry(let message):
            counters.retried.add()
            try await retry(
                due, values.cut(from: message), cause: values.cut(from: answer.cause), afterMilliseconds: answer.retryAfterMilliseconds)
        }
    }

    private func end(_ due: DueCall, _ outcome: ToolOutcome) async throws {
        _ = try await runs.settle(due.scope, due.runID, due.callID, outcome)
    }

    /// The row goes with the call's outcome; one that is still there was left by somebody who did not know of it.
    private func dropIfOver(_ due: DueCall) async throws {
        guard let record = try await database.tenant(due.scope).toolCall(due.callID), record.status.isOpen, record.attempts == 0 else {
            return try await database.tenant(due.scope).unschedule(due.callID, of: due.runID)
        }
    }

    /// - Parameter message: for the tenant, without secrets; `cause` is for the log.
    private func retry(_ due: DueCall, _ message: String, cause: String, afterMilliseconds wanted: Int?) async throws {
        let doubled = Limits.firstRetrySeconds << min(max(due.attempt - 1, 0), 16)
        let backOff = Double(min(doubled, Limits.lastRetrySeconds)) * 1000 * .random(in: 0.75...1.25)
        let delay = max(Int(backOff), wanted ?? 0)
        logger.info(
            "delivery failed; it is tried again",
            metadata: [
                "run": "\(due.runID)", "call": "\(due.callID)", "attempt": "\(due.attempt)", "inMilliseconds": "\(delay)",
                "error": "\(message)", "cause": "\(cause)",
            ])
        try await database.tenant(due.scope).reschedule(
            due.callID, of: due.runID, afterMilliseconds: delay, attempt: due.attempt, error: message)
        times.note(inMilliseconds: delay)
    }
}
