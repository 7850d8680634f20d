import Postgres
import Cryptography
import Domain
import FoundationEssentials
import JSON
import NIOPosix
import Storage
import TestServers
import TestSupport
import Testing

@testable import Runtime

/// The device side of one gateway process, over the test servers; several of them are several replicas. It has no workers: what
/// happens to a call here, a test or the hub did.
struct DeviceReplica: Sendable {
    static let allowAll = "version: 1\nrules:\n  - id: all\n    effect: allow\n"
    static let denyAll = "version: 1\nrules: []\n"

    let environment: TestEnvironment
    let hub: DeviceHub
    let devices: DeviceService
    let runs: RunService
    let gate: ToolGate
    let approvals: ApprovalService

    /// - Parameter heartbeatSeconds: the devices of these tests answer no pings, and are not to be given up where a machine is slow.
    init(_ environment: TestEnvironment, policy: String = DeviceReplica.allowAll, heartbeatSeconds: Int = 600, isSweeping: Bool = true)
        throws
    {
        self.environment = environment
        var configuration = GatewayConfiguration(publicURL: "https://gateway.test", deviceHeartbeatSeconds: heartbeatSeconds)
        configuration.intervals.deviceRegistration = .seconds(600)
        if !isSweeping { configuration.intervals.callSweep = .seconds(3600) }
        let (database, redis, subscriber, logger) = (environment.database, environment.redis, environment.subscriber, environment.logger)
        let replicaID = ReplicaID.generate()
        let metrics = MetricsRegistry()
        let stream = RunStream(redis)
        let publisher = RunPublisher(
            feeds: FeedHub(database: database, stream: stream, subscriber: subscriber, metrics: metrics, logger: logger), stream: stream,
            published: metrics.counter("published", help: ""))
        let workers = RunWorkers(
            replicaID: replicaID, database: database, subscriber: subscriber, active: ActiveRuns(),
            loops: LoopExecutors(MultiThreadedEventLoopGroup.singleton), slots: 1, tenantConcurrency: 1, leaseSeconds: 30, metrics: metrics,
            logger: logger
        )
        let book = try PolicyBook(directory: try temporaryFolder(["test.yaml": policy]), logger: logger)
        gate = ToolGate(
            folder: book, tenants: TenantPolicyBook(database: database, subscriber: subscriber, logger: logger),
            rates: CallRates(redis: redis, metrics: metrics, logger: logger), metrics: metrics)
        let link = DeviceLink()
        runs = RunService(
            database: database, gate: gate, publisher: publisher, wakeups: Wakeups(redis), workers: workers,
            schedule: ScheduleNotes(configuration.intervals), replicaID: replicaID, metrics: metrics, logger: logger,
            withoutSecrets: { outcome, _, _ in outcome }, callsEnded: { scope, calls in link.callsEnded(scope, calls) })
        let limiter = TenantLimiter(
            defaults: TenantLimits(), intervals: configuration.intervals, replicaID: replicaID, database: database, redis: redis,
            subscriber: subscriber, metrics: metrics, logger: logger)
        approvals = ApprovalService(database: database, runs: runs, gate: gate) { scope, call, target in
            if target == .device { link.callReleased(scope, call) }
        }
        hub = DeviceHub(
            configuration: configuration, replicaID: replicaID, database: database, redis: redis, subscriber: subscriber, runs: runs,
            gate: gate, limiter: limiter, metrics: metrics,
            logger: logger)
        devices = DeviceService(configuration: configuration, database: database, redis: redis, hub: hub, runs: runs)
        link.hub = hub
    }

    /// `body` while the hub lives; then the hub ends as at shutdown.
    func living<R: Sendable>(_ body: @Sendable @escaping () async throws -> R) async throws -> R {
        try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                try await hub.run()
                return nil
            }
            group.addTask { try await body() }
            while let part = try await group.next() {
                guard let part else { continue }
                group.cancelAll()
                try await group.waitForAll()
                return part
            }
            throw CancellationError()
        }
    }

    // MARK: Runs

    /// A run in which a model has just asked for these tools; it waits for their results, and no worker takes it.
    func waitingRun(
        _ scope: TenantScope, tools: [String], selector: DeviceSelector, arguments: RawJSON = RawJSON("{\"text\":\"hi\"}"),
        timeoutSeconds: Int = 60
    ) async throws -> (RunID, [NewToolCall]) {
        let tenant = environment.database.tenant(scope)
        let (agent, version) = try await environment.makeAgent(
            scope, name: "agent-\(UUID().uuidString.lowercased())",
            config: RawJSON("{\"version\":\"1.0\",\"agent\":{\"name\":\"a\"},\"model\":{\"provider\":\"simulated\",\"name\":\"s\"}}"))
        let runID = RunID.generate()
        // Written as running under a lease far ahead, so that workers of other tests leave it alone.
        _ = try await environment.app.query(
            """
            INSERT INTO hsafa.runs (tenant_id, run_id, agent_id, agent_name, version_id, status, lease_owner, lease_expires_at, claim_number,
                deadline_at)
            VALUES (\(scope.tenantID), \(runID), \(agent.agentID), \(agent.name), \(version.versionID), 'running', \(ReplicaID.generate()),
                now() + interval '1 hour', 1, now() + interval '1 day')
            """, scope: scope.tenantID.description)
        _ = try await tenant.append([NewRunEvent(.runCreated)], to: runID, after: 0, claim: 0, at: .now())
        _ = try await tenant.append([NewRunEvent(.runStarted), RunMachine.stepStarted(1)], to: runID, after: 1, claim: 1, at: .now())
        let calls = tools.map { tool in
            NewToolCall(
                callID: .generate(), providerCallID: "p", tool: tool, target: .device, arguments: arguments, device: selector,
                timeoutSeconds: timeoutSeconds)
        }
        let state = try #require(try await tenant.fold(runID))
        let requested = calls.map { RequestedCall(callID: $0.callID, providerCallID: "p", name: $0.tool, arguments: arguments.string) }
        let step = RunMachine.finishStep(
            state,
            message: RunEventData.assistantMessage(
                step: 1, text: "", reasoning: "", calls: requested, usage: TokenUsage(), finishReason: "tool_calls"),
            calls: calls.map { .admitted($0) }, usage: TokenUsage(), finishReason: "tool_calls", maxSteps: 5)
        let answer = try await tenant.transition(step, of: runID, after: state.lastSeq, claim: 1, at: .now())
        try #require(answer.verdict == .applied)
        return (runID, calls)
    }

    func call(_ scope: TenantScope, _ id: CallID) async throws -> ToolCallRecord {
        try #require(try await environment.database.tenant(scope).toolCall(id))
    }

    // MARK: Devices

    func makeDevice(
        _ scope: TenantScope, tools: [String] = ["echo"], labels: [String: String] = ["zone": "lab"]
    ) async throws -> TestDevice {
        let key = try Ed25519.PrivateKey()
        let record = try await devices.register(
            in: environment.database.tenant(scope), publicKey: Base64URL.encode(key.publicKey.rawRepresentation),
            deviceKey: "device-\(UUID().uuidString)", displayName: nil, platform: nil, labels: labels, by: .test)
        return TestDevice(id: record.deviceID, key: key, tools: tools)
    }

    /// Connects, and ends the socket when `body` is done.
    func connected<R: Sendable>(_ device: TestDevice, _ body: @Sendable @escaping (TestSocket) async throws -> R) async throws -> R {
        try await socket { socket in
            try await socket.register(device)
            return try await body(socket)
        }
    }

    func socket<R: Sendable>(_ body: @Sendable @escaping (TestSocket) async throws -> R) async throws -> R {
        let socket = TestSocket()
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                await hub.serve(socket, frames: socket.frames)
                return nil
            }
            group.addTask {
                defer { socket.hangUp() }
                return try await body(socket)
            }
            var result: R?
            for try await part in group { result = part ?? result }
            return try #require(result)
        }
    }
}
