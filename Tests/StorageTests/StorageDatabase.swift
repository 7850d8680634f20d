import Domain
import FoundationEssentials
import JSON
import Logging
import Postgres
import Storage
import TestSupport

/// A database of one test's own, copied from a migrated one: claiming looks at the runs of all tenants, so tests that share a
/// database would take each other's.
struct StorageDatabase: Sendable {
    let owner: PostgresClient
    let app: PostgresClient
    let database: Database

    static let migrations = TestEnvironment.repository + "/migrations"
    static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    // MARK: Making databases

    /// Lives as long as the test process.
    static let superuser = Task {
        var configuration = try PostgresConfiguration(url: TestEnvironment.variable("TEST_SUPERUSER_URL"))
        TestEnvironment.wait(&configuration)
        let client = PostgresClient(configuration, logger: logger)
        Task { await client.run() }
        return client
    }

    /// Migrated once; nobody is connected to it afterwards, as Postgres asks of a template.
    private static let template = Task {
        let name = uniqueName()
        try await create(name, template: nil)
        try await withClient("TEST_OWNER_URL", name) { owner in
            _ = try await Migrator(client: owner, directory: migrations, logger: logger).migrate()
        }
        return name
    }

    private static func uniqueName() -> String { "storage_" + UUID.version7().lowercased.replacing("-", with: "") }

    private static func create(_ name: String, template: String?) async throws {
        let clause = template.map { " TEMPLATE \"\($0)\"" } ?? ""
        _ = try await superuser.value.query(
            SQL(unsafeSQL: "CREATE DATABASE \"\(name)\" OWNER hsafa_owner\(clause)"), lane: .alone)
    }

    private static func drop(_ name: String) async {
        // Canceled tests clean up as well.
        await Task {
            _ = try? await superuser.value.query(SQL(unsafeSQL: "DROP DATABASE IF EXISTS \"\(name)\" WITH (FORCE)"), lane: .alone)
        }.value
    }

    static func withClient<R: Sendable>(
        _ variable: String, _ database: String, _ body: (PostgresClient) async throws -> R
    ) async throws -> R {
        let url = try TestEnvironment.variable(variable)
        let end = url.firstIndex(of: "?") ?? url.endIndex
        guard let slash = url[..<end].lastIndex(of: "/") else { throw MissingFixture(description: "\(variable) names no database") }
        var configuration = try TestEnvironment.configuration(url[...slash] + database + url[end...])
        configuration.sharedConnections = 2
        configuration.transactionConnections = 4
        let client = PostgresClient(configuration, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await client.run() }
            defer { client.shutDown() }
            return try await body(client)
        }
    }

    /// An empty database, for those who migrate it themselves.
    static func withEmptyDatabase<R: Sendable>(_ body: (String) async throws -> R) async throws -> R {
        let name = uniqueName()
        try await create(name, template: nil)
        do {
            let result = try await body(name)
            await drop(name)
            return result
        } catch {
            await drop(name)
            throw error
        }
    }

    static func with<R: Sendable>(_ body: (StorageDatabase) async throws -> R) async throws -> R {
        let name = uniqueName()
        try await create(name, template: try await template.value)
        do {
            let result = try await withClient("TEST_OWNER_URL", name) { owner in
                try await withClient("TEST_APP_URL", name) { app in
                    try await body(StorageDatabase(owner: owner, app: app, database: Database(client: app)))
                }
            }
            await drop(name)
            return result
        } catch {
            await drop(name)
            throw error
        }
    }

    // MARK: What tests begin with

    var claims: Claims { Claims(database) }

    func makeTenant() async throws -> TenantScope {
        let slug = "t-" + UUID.version7().lowercased
        return TenantScope(tenantID: try await Bootstrap(owner: owner).ensureTenant(slug: slug, name: "test"), slug: slug)
    }

    static let config = RawJSON(#"{"version":"1.0","agent":{"name":"tester"},"model":{"provider":"simulated","script":{}}}"#)

    func makeAgent(_ scope: TenantScope, name: String = "tester") async throws -> AgentRecord {
        let tenant = database.tenant(scope)
        guard let agent = try await tenant.changes(by: .test).insertAgent(.generate(), name: name, description: nil).record else {
            throw MissingFixture(description: "agent \(name) exists")
        }
        let hash = try AgentConfig.hash(of: Self.config.document().root)
        _ = try await tenant.changes(by: .test).publish(agent.agentID, version: nil, config: Self.config, configHash: hash, metadata: nil)
        guard let current = try await tenant.agent(agent.agentID) else { throw MissingFixture(description: "no agent") }
        return current
    }

    func makeRun(_ scope: TenantScope, _ agent: AgentRecord) async throws -> RunID {
        guard let version = agent.currentVersionID else { throw MissingFixture(description: "no version") }
        let created = NewRunEvent(.runCreated, RawJSON(#"{"messages":[{"role":"user","content":"hi"}]}"#))
        return try await database.tenant(scope).insertRun(
            .generate(), agent: agent, version: version, previousRunID: nil, metadata: nil, deadlineSeconds: 3600, created: created,
            at: .now()
        ).runID
    }

    func claim(worker: ReplicaID = .generate(), limit: Int = 64, concurrency: Int = 1000, leaseSeconds: Int = 60) async throws
        -> [ClaimedRun]
    {
        try await claims.claim(
            worker: worker, leaseSeconds: leaseSeconds, limit: limit,
            after: TenantID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))),
            defaultConcurrency: concurrency
        ).runs
    }

    /// A statement of the owner's, behind one tenant's walls.
    func asOwner(_ scope: TenantScope, _ sql: SQL) async throws {
        _ = try await owner.query(sql, scope: scope.tenantID.description, lane: .slow)
    }
}

/// One claimed run and what a worker does with it.
struct StorageRun: Sendable {
    let db: StorageDatabase
    let scope: TenantScope
    let agent: AgentRecord
    let runID: RunID
    let claimed: ClaimedRun

    var tenant: TenantDatabase { db.database.tenant(scope) }

    static func start(_ db: StorageDatabase) async throws -> StorageRun {
        let scope = try await db.makeTenant()
        let agent = try await db.makeAgent(scope)
        let runID = try await db.makeRun(scope, agent)
        guard let claimed = try await db.claim().first(where: { $0.runID == runID }) else {
            throw MissingFixture(description: "the run was not claimed")
        }
        return StorageRun(db: db, scope: scope, agent: agent, runID: runID, claimed: claimed)
    }

    func fold() async throws -> RunState {
        guard let state = try await tenant.fold(runID) else { throw MissingFixture(description: "no such run") }
        return state
    }

    func append(_ events: [NewRunEvent], after: Int64) async throws -> Int64? {
        try await tenant.append(events, to: runID, after: after, claim: claimed.claimNumber, at: .now())
    }

    static func call(_ target: ToolTarget) -> NewToolCall {
        NewToolCall(
            callID: .generate(), providerCallID: "p", tool: "t", target: target, arguments: RawJSON(#"{"a":1}"#),
            device: target == .device ? DeviceSelector(labels: ["zone": "lab"]) : nil, timeoutSeconds: 60)
    }

    /// Steps up to calls that wait; returns the state behind them.
    @discardableResult
    func ask(_ calls: [NewToolCall]) async throws -> RunState {
        let before = try await fold()
        _ = try await append([RunMachine.stepStarted(before.step + 1)], after: before.lastSeq)
        let state = try await fold()
        let requested = calls.map { RequestedCall(callID: $0.callID, providerCallID: "p", name: "t", arguments: "{}") }
        let usage = TokenUsage(inputTokens: 10, outputTokens: 20)
        var transition = RunMachine.finishStep(
            state,
            message: RunEventData.assistantMessage(
                step: state.step, text: "x", reasoning: "", calls: requested, usage: usage, finishReason: "tool_calls"),
            calls: calls.map { .admitted($0) }, usage: usage, finishReason: "tool_calls", maxSteps: 10)
        transition.spending = TokenSpending(day: .today, model: "simulated", usage: usage)
        let answer = try await tenant.transition(
            transition, of: runID, after: state.lastSeq, claim: claimed.claimNumber, at: .now())
        guard answer.verdict == .applied else { throw MissingFixture(description: "not applied: \(answer.verdict)") }
        return try await fold()
    }

    func record(_ outcome: ToolOutcome, of call: CallID) async throws -> TransitionAnswer.Verdict? {
        let state = try await fold()
        guard let transition = RunMachine.record(outcome, of: call, in: state) else { return nil }
        return try await tenant.transition(transition, of: runID, after: state.lastSeq, claim: nil, at: .now()).verdict
    }
}

struct MissingFixture: Error, CustomStringConvertible {
    let description: String
}

/// The error that `operation` ends with; nil when it succeeds.
func postgresError<R: Sendable>(_ operation: () async throws -> R) async -> PostgresError? {
    do {
        _ = try await operation()
        return nil
    } catch { return error as? PostgresError }
}
