public import Domain
import Logging
import Redis
import Storage
import Synchronization

/// The devices' sockets of this process, and the calls that go to devices.
///
/// `tool_calls` in Postgres is the outbox and the truth: a call that is committed and not answered is sent, now or by the next
/// sweep, by whichever process holds the socket. Redis only wakes that process.
public final class DeviceHub: Sendable {
    /// Results of one device that are written at once.
    static let maxConcurrentResults = 16
    /// Frames that break the protocol before the socket is closed.
    static let maxViolations = 10
    /// From the decision to close a socket to the close without regard for what is queued.
    static let closeGraceSeconds = 2
    static let maxQueuedJobs = 4096
    static let maxConcurrentJobs = 64

    /// What the sweep would find in two seconds, done at once.
    enum Job: Sendable {
        case dispatch(TenantScope, [CallID])
        /// Calls may be open that this socket was not sent.
        case `repeat`(DeviceSession, DeviceIdentity)
        /// Calls may wait for a device like this one.
        case waiting(TenantScope, DeviceID)
        /// The session may be over: taken over, or its device revoked.
        case check(DeviceSession)
    }

    let configuration: GatewayConfiguration
    let replicaID: ReplicaID
    let database: Database
    let redis: RedisClient
    let subscriber: RedisSubscriber
    let runs: RunService
    let gate: ToolGate
    let limiter: TenantLimiter
    /// Jobs are done on them in turn.
    private let loops: LoopExecutors?
    let logger: Logger
    let sessions: DeviceSessions
    let presence: DevicePresence
    let registry = DeviceRegistry()
    let endings = EndedSessions()
    private let jobs: AsyncStream<Job>
    private let jobFeed: AsyncStream<Job>.Continuation

    let callsDispatched: MetricCounter
    let callsSent: MetricCounter
    let callsRepeated: MetricCounter
    let resultsApplied: MetricCounter
    let resultsRefused: MetricCounter

    init(
        configuration: GatewayConfiguration, replicaID: ReplicaID, database: Database, redis: RedisClient, subscriber: RedisSubscriber,
        runs: RunService, gate: ToolGate, limiter: TenantLimiter, loops: LoopExecutors? = nil, metrics: MetricsRegistry, logger: Logger
    ) {
        self.configuration = configuration
        self.replicaID = replicaID
        self.database = database
        self.redis = redis
        self.subscriber = subscriber
        self.runs = runs
        self.gate = gate
        self.limiter = limiter
        self.loops = loops
        self.logger = logger
        sessions = DeviceSessions(database)
        presence = DevicePresence(redis: redis, replicaID: replicaID)
        (jobs, jobFeed) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.maxQueuedJobs))
        callsDispatched = metrics.counter("hsafa_device_calls_dispatched_total", help: "Calls given to a device by this process.")
        callsSent = metrics.counter("hsafa_device_calls_sent_total", help: "Call requests put on this process's device sockets.")
        callsRepeated = metrics.counter("hsafa_device_calls_repeated_total", help: "Call requests that were sent again.")
        resultsApplied = metrics.counter(
            "hsafa_device_results_total", help: "Results from devices, by whether they were taken.", labels: [("applied", "true")])
        resultsRefused = metrics.counter(
            "hsafa_device_results_total", help: "Results from devices, by whether they were taken.", labels: [("applied", "false")])
        metrics.gauge("hsafa_device_sessions", help: "Registered device sockets of this process.") { [registry] in
            Double(registry.count)
        }
    }

    var audience: String { configuration.publicURL }
    var heartbeat: Duration { .seconds(max(1, configuration.deviceHeartbeatSeconds)) }
    /// A device whose last heartbeat is older than this is not asked.
    var onlineSeconds: Double { Self.onlineSeconds(configuration) }

    static func onlineSeconds(_ configuration: GatewayConfiguration) -> Double {
        Double(max(1, configuration.deviceHeartbeatSeconds)) * 2.5
    }

    // MARK: Sockets

    /// One device's socket: challenge, registration, calls, until it is closed. `frames` are whole messages; it must end
    /// when the socket does.
    public func serve<Frames: AsyncSequence & Sendable>(_ transport: any DeviceTransport, frames: Frames) async
    where Frames.Element == DeviceInput {
        transport.setMaxFrameBytes(Limits.maxFrameBytesBeforeRegistration, skimmed: 0)
        let session = DeviceSession(hub: self, transport: transport)
        if let refusal = registry.admit(session) {
            await transport.close(code: refusal.code, reason: refusal.reason)
            return
        }
        defer { registry.leave(session) }
        await session.run(frames)
    }

    /// The proof was good: from here on the device's calls go to this socket. false when it may not register after all.
    func open(
        _ session: DeviceSession, device: DeviceID, _ scope: TenantScope, _ capabilities: DeviceCapabilities
    ) async throws -> Bool {
        guard let place = try await limiter.connect(device, scope) else {
            session.refuse(
                "device_limit_exceeded", "This tenant has as many devices connected as its limit allows; connect again later.",
                retryable: true, closing: .tooManyConnections)
            return false
        }
        session.hold(place)
        let identity = DeviceIdentity(scope: scope, deviceID: device, sessionID: .generate())
        guard
            let replaced = try await database.tenant(scope).openSession(
                identity.sessionID, device: device, replica: replicaID, remoteAddress: session.transport.remoteAddress,
                capabilities: capabilities)
        else {
            session.refuse("unauthorized", "This device is no longer active.", retryable: false, closing: .revoked)
            return false
        }
        guard session.become(identity, heartbeat: heartbeat) else {
            endings.add(identity, reason: session.currentEnd.reason)
            return false
        }
        session.transport.setMaxFrameBytes(Limits.maxDeviceFrameBytes, skimmed: Limits.maxSkimmedFrameBytes)
        if let older = registry.add(session, for: device) { older.end(.takenOver) }
        if !replaced.isEmpty { DeviceNotice.check.publish(to: device, over: redis) }
        presence.set(device, session: identity.sessionID)
        session.outbox.offer(
            DeviceFrame.registered(
                device: device, session: identity.sessionID, heartbeatSeconds: max(1, configuration.deviceHeartbeatSeconds)))
        session.hold(
            subscriber.subscribe(RedisKeys.deviceNotify(device)) { [weak session, weak self] push in
                guard let session, let self else { return }
                self.receive(push, session, identity)
            })
        return true
    }

    /// On the subscriber's event loop: nothing here waits.
    private func receive(_ push: RedisPush, _ session: DeviceSession, _ identity: DeviceIdentity) {
        switch push {
        case .disconnected: break
        // What was published before the confirmation was not heard.
        case .subscribed: enqueue(.repeat(session, identity))
        case .message(let message):
            switch DeviceNotice(message) {
            case .call(let run, let call, let frame): _ = session.deliver(call, of: run, frame: frame)
            case .cancel(let call, let reason): session.cancel(call, reason: reason)
            case .check: enqueue(.check(session))
            case nil: logger.warning("a notice to a device was not understood", metadata: ["deviceId": "\(identity.deviceID)"])
            }
        }
    }

    func sessionEnded(_ session: DeviceSession, _ identity: DeviceIdentity, reason: String) {
        registry.remove(session, for: identity.deviceID)
        endings.add(identity, reason: reason)
    }

    // MARK: Calls

    /// The device calls among these go to devices at once. What finds no room in the queue is left to the sweep.
    public func callsCommitted(_ scope: TenantScope, runID: RunID, calls: [NewToolCall]) {
        let calls = calls.filter { $0.target == .device }.map(\.callID)
        if !calls.isEmpty { enqueue(.dispatch(scope, calls)) }
    }

    /// A call may go out now that waited for a person.
    func callReleased(_ scope: TenantScope, _ call: CallID) { enqueue(.dispatch(scope, [call])) }

    /// Tells devices that calls of theirs are over; `devices[i]` was asked `callIDs[i]`.
    public func callsEnded(_ scope: TenantScope, callIDs: [CallID], devices: [DeviceID?], reason: CallCancelReason) {
        for (call, device) in zip(callIDs, devices) {
            guard let device else { continue }
            if let session = registry.session(of: device) {
                session.cancel(call, reason: reason)
            } else {
                DeviceNotice.cancel(call, reason: reason).publish(to: device, over: redis)
            }
        }
    }

    /// A device was revoked, and its row says so; processes that hold an older socket of it hear it by notice.
    func revoked(_ device: DeviceID) {
        registry.session(of: device)?.refuse("revoked", "This device was revoked.", retryable: false, closing: .revoked)
    }

    /// Closes the sockets of these tenants' devices.
    func suspend(_ tenants: Set<TenantID>) {
        for session in registry.all where session.identity.map({ tenants.contains($0.scope.tenantID) }) ?? false {
            session.refuseSuspended()
        }
    }

    func enqueue(_ job: Job) { jobFeed.yield(job) }

    // MARK: Life

    /// Until canceled; then sockets are closed with 1001 and their sessions written down.
    public func run() async throws {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.work() }
            group.addTask { await self.keepHeartbeats() }
            group.addTask { await self.writeEndings() }
            group.addTask { await self.sweepDispatched() }
            group.addTask { await self.sweepWaiting() }
        }
        // This task is canceled, and a canceled task can write nothing; the one that can is awaited here.
        await Task { await self.close() }.value
    }

    /// Admits no more sockets and begins to close those that are there, with 1001; returns at once.
    public func beginShutdown() {
        for session in registry.beginClosing() { session.end(.goingAway) }
    }

    private func close() async {
        beginShutdown()
        if !registry.beginClosing().isEmpty {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.registry.waitUntilEmpty() }
                group.addTask { try? await Task.sleep(for: .seconds(2 * Self.closeGraceSeconds)) }
                await group.next()
                group.cancelAll()
            }
        }
        do { try await flushEndings() } catch {
            logger.warning("sessions are left open; they end by their silence", metadata: ["cause": "\(error)"])
        }
    }

    private func work() async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await job in jobs {
                if running >= Self.maxConcurrentJobs {
                    await group.next()
                    running -= 1
                }
                running += 1
                group.addTask(executorPreference: loops?.next()) { await self.perform(job) }
            }
        }
    }

    private func perform(_ job: Job) async {
        switch job {
        case .dispatch(let scope, let calls): await dispatch(scope, calls)
        case .repeat(let session, let identity): await repeatCalls(of: session, identity)
        case .waiting(let scope, let device): await dispatchWaiting(for: device, scope)
        case .check(let session): await renew([session])
        }
    }
}
