import Domain
import Logging
import Storage

/// Writes down what is over: calls and runs past their deadlines. Postgres' clock says what is over; any replica may say it.
struct Sweepers: Sendable {
    let database: Database
    let runs: RunService
    let policies: PolicyBook
    let interval: Duration
    let childSweep: Duration
    let logger: Logger

    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await ChildRuns(database: database, runs: runs, interval: childSweep, logger: logger).run() }
            await sweepOften()
            group.cancelAll()
        }
    }

    private func sweepOften() async {
        var lastPartitions = ContinuousClock.now
        while (try? await Task.sleep(for: interval, tolerance: .milliseconds(500))) != nil {
            await sweep()
            await dropIdempotencyRecords()
            await dropRunTokens()
            policies.reload()
            if ContinuousClock.now - lastPartitions > .seconds(6 * 3600) {
                lastPartitions = .now
                do { _ = try await database.ensurePartitions() } catch {
                    logger.error("partitions not made; the next months need them", metadata: ["cause": "\(error)"])
                }
            }
        }
    }

    func sweep() async {
        let claims = Claims(database)
        do {
            for call in try await claims.overdueCalls(limit: Limits.sweepBatch) {
                await attempt(call.runID) { _ = try await runs.decide(call.scope, call.runID) { RunMachine.expire(call.callID, in: $0) } }
            }
            for (scope, run) in try await claims.overdueRuns(limit: Limits.sweepBatch) {
                await attempt(run) {
                    let decision = try await runs.decide(scope, run) { state in
                        state.status.isTerminal
                            ? nil
                            : RunMachine.failed(state, code: "deadline_exceeded", message: "The run did not end before its deadline.")
                    }
                    if decision.answer == .applied { runs.callsEnded(scope, decision.state.calls) }
                }
            }
        } catch {
            logger.warning("sweep cut short; the next one goes on", metadata: ["cause": "\(error)"])
        }
    }

    /// What fails for one run costs the others nothing.
    private func attempt(_ run: RunID, _ body: () async throws -> Void) async {
        do { try await body() } catch {
            logger.warning("a run was not swept; the next sweep tries again", metadata: ["run": "\(run)", "cause": "\(error)"])
        }
    }

    private func dropRunTokens() async {
        do { _ = try await database.sweepRunTokens(limit: Limits.runTokenSweepBatch) } catch {
            logger.warning("run tokens that are over not dropped; the next sweep goes on", metadata: ["cause": "\(error)"])
        }
    }

    /// What is left after the last round waits for the next sweep: expired records do nobody harm.
    private func dropIdempotencyRecords() async {
        do {
            for _ in 0..<Limits.idempotencySweepRounds {
                guard try await database.sweepIdempotencyKeys(limit: Limits.idempotencySweepBatch) == Limits.idempotencySweepBatch else {
                    return
                }
            }
        } catch {
            logger.warning("expired idempotency records not dropped; the next sweep goes on", metadata: ["cause": "\(error)"])
        }
    }
}
