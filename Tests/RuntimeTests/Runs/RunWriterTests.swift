import Domain
import FoundationEssentials
import JSON
import Postgres
import Storage
import TestSupport
import Testing

@testable import Runtime

/// The writer of a claimed run, over a log that others hold up.
struct RunWriterTests {
    private struct Claimed {
        let environment: TestEnvironment
        let tenant: TenantDatabase
        let run: ClaimedRun
        let writer: RunWriter
    }

    private func claim() async throws -> Claimed {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let config = RawJSON(#"{"version":"1.0","agent":{"name":"tester"},"model":{"provider":"simulated","script":{}}}"#)
        let (agent, version) = try await environment.makeAgent(scope, config: config)
        let tenant = environment.database.tenant(scope)
        let created = NewRunEvent(.runCreated, RawJSON(#"{"messages":[{"role":"user","content":"hi"}]}"#))
        _ = try await tenant.insertRun(
            .generate(), agent: agent, version: version.versionID, previousRunID: nil, metadata: nil, deadlineSeconds: 3600,
            created: created, at: .now())
        let first = TenantID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
        let round = try await Claims(environment.database).claim(
            worker: .generate(), leaseSeconds: 600, limit: 1, after: first, defaultConcurrency: 10)
        let run = try #require(round.runs.first)
        let metrics = MetricsRegistry()
        let stream = RunStream(environment.redis)
        let hub = FeedHub(
            database: environment.database, stream: stream, subscriber: environment.subscriber, metrics: metrics,
            logger: environment.logger)
        let writer = RunWriter(
            claimed: run, state: try #require(try await tenant.fold(run.runID)), database: tenant,
            publisher: RunPublisher(feeds: hub, stream: stream, published: metrics.counter("published", help: "")),
            schedule: ScheduleNotes(GatewayIntervals()), logger: environment.logger)
        return Claimed(environment: environment, tenant: tenant, run: run, writer: writer)
    }

    /// Runs `body` while the run's row is locked by another session; what it started goes on when it returns.
    private func holdingUp<R: Sendable>(_ claimed: Claimed, _ body: @Sendable () async throws -> R) async throws -> R {
        let (scope, run) = (claimed.run.scope, claimed.run.runID)
        return try await claimed.environment.owner.withTransaction(scope: scope.tenantID.description) { transaction in
            let locked = try await transaction.query(
                "SELECT 1 FROM hsafa.runs WHERE tenant_id = \(scope.tenantID) AND run_id = \(run) FOR UPDATE")
            #expect(locked.count == 1)
            return try await body()
        }
    }

    /// Statements of this database that wait for a lock.
    private func waiting(_ claimed: Claimed) async throws -> Int {
        let blocked: SQL = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'
            """
        return try await claimed.environment.app.query(blocked, lane: .slow)[0].decode(0, as: Int.self)
    }

    private func types(_ claimed: Claimed) async throws -> [RunEventType] {
        try await claimed.tenant.events(of: claimed.run.runID, after: 0, limit: 100).map(\.type)
    }

    @Test(.timeLimit(.minutes(5)))
    func `a write that is canceled half-way goes in all the same, and the next is not taken for it`() async throws {
        let claimed = try await claim()
        let writer = claimed.writer
        let (first, second) = try await holdingUp(claimed) { () async throws in
            let first = Task { try await writer.transition { RunTransition(events: [RunMachine.stepStarted($0.step + 1)]) } }
            #expect(try await eventually { try await waiting(claimed) == 1 })
            first.cancel()
            let second = Task { try await writer.transition { RunMachine.failed($0, code: "late", message: "second") } }
            return (first, second)
        }
        try await first.value
        try await second.value
        #expect(try await types(claimed) == [.runCreated, .runStarted, .stepStarted, .runFailed])
        let fold = try #require(try await claimed.tenant.fold(claimed.run.runID))
        #expect(await writer.state == fold)
    }

    @Test(.timeLimit(.minutes(5))) func `what is emitted while a decision is written goes out without another word`() async throws {
        let claimed = try await claim()
        let writer = claimed.writer
        let appending = Task { await writer.run() }
        let first = try await holdingUp(claimed) { () async throws in
            let first = Task { try await writer.transition { RunTransition(events: [RunMachine.stepStarted($0.step + 1)]) } }
            #expect(try await eventually { try await waiting(claimed) == 1 })
            try await writer.emitDelta(.assistantDelta, text: "Hi", stampNanoseconds: nil)
            return first
        }
        try await first.value
        #expect(try await eventually { try await types(claimed) == [.runCreated, .runStarted, .stepStarted, .assistantDelta] })
        writer.close()
        await appending.value
    }
}
