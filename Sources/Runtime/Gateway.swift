import Argon2
public import Domain
public import Logging
import MCP
import ModelProviders
public import NIOCore
public import Postgres
public import Redis
import ServiceLifecycle
public import Storage
import Synchronization

/// One gateway process: its services, built once, and everything of it that lives.
public final class Gateway: Sendable {
    public let configuration: GatewayConfiguration
    public let replicaID: ReplicaID
    public let database: Database
    public let authenticator: Authenticator
    public let keyHolds: KeyHolds
    public let keys: KeyService
    public let runTokens: RunTokenService
    public let secrets: SecretService
    public let external: ExternalService
    public let tenants: TenantService
    public let audit: AuditService
    public let agents: AgentService
    public let runs: RunService
    public let feeds: FeedHub
    public let policies: PolicyBook
    public let gate: ToolGate
    public let tenantPolicies: PolicyService
    public let approvals: ApprovalService
    public let devices: DeviceService
    public let deviceHub: DeviceHub
    public let creations: Creations
    public let limiter: TenantLimiter
    public let usage: UsageService
    public let metrics: MetricsRegistry
    public let logger: Logger

    let lastHealth = Mutex<(report: HealthReport, at: ContinuousClock.Instant)?>(nil)
    let postgres: PostgresClient
    let redis: RedisClient
    private let subscriber: RedisSubscriber
    private let hasher: PasswordHasher
    /// The one way out by HTTP.
    let egress: EgressGuard
    /// For the tasks of requests and of runs.
    public let loops: LoopExecutors
    private let workers: RunWorkers
    private let performer: RunPerformer
    private let sweepers: Sweepers
    private let scheduler: Scheduler
    private let tenantPolicyBook: TenantPolicyBook
    private let accessWatch: AccessWatch

    public struct Dependencies: Sendable {
        public var postgres: PostgresConfiguration
        public var redis: RedisConfiguration
        public var eventLoopGroup: any EventLoopGroup
        /// nil: the system's.
        public var resolver: (any HostResolver)?

        public init(postgres: PostgresConfiguration, redis: RedisConfiguration, eventLoopGroup: any EventLoopGroup) {
            self.postgres = postgres
            self.postgres.scopeSetting = Database.scopeSetting
            self.postgres.usesGenericPlans = true
            self.redis = redis
            self.eventLoopGroup = eventLoopGroup
        }
    }

    /// Reads the policies; throws when they are invalid. Connects to nothing yet.
    public init(_ configuration: GatewayConfiguration, _ dependencies: Dependencies, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        replicaID = .generate()
        metrics = MetricsRegistry()
        loops = LoopExecutors(dependencies.eventLoopGroup)
        policies = try PolicyBook(directory: configuration.policiesDirectory, metrics: metrics, logger: logger)
        postgres = PostgresClient(dependencies.postgres, logger: logger)
        database = Database(client: postgres)
        redis = RedisClient(dependencies.redis, eventLoopGroup: dependencies.eventLoopGroup, hasConnectionPerLoop: true, logger: logger)
        subscriber = RedisSubscriber(dependencies.redis, eventLoopGroup: dependencies.eventLoopGroup, logger: logger)
        tenantPolicyBook = TenantPolicyBook(database: database, subscriber: subscriber, metrics: metrics, logger: logger)
        gate = ToolGate(
            folder: policies, tenants: tenantPolicyBook, rates: CallRates(redis: redis, metrics: metrics, logger: logger), metrics: metrics)
        tenantPolicies = PolicyService(
            database: database, folder: policies, tenants: tenantPolicyBook, gate: gate, notices: TenantNotices(redis))
        hasher = PasswordHasher(
            threads: Limits.hashThreads, maxQueued: configuration.maxQueuedHashes, parameters: configuration.argon2)
        egress = EgressGuard(
            loops: dependencies.eventLoopGroup, resolver: dependencies.resolver,
            rules: { [policies] in policies.current.egress?.adding(configuration.egress.allowances) ?? configuration.egress },
            tenantRules: { [tenantPolicyBook] scope in try await tenantPolicyBook.policies(of: scope)?.egress }, metrics: metrics,
            logger: logger)
        secrets = SecretService(database: database, keys: configuration.masterKeys, logger: logger)
        authenticator = Authenticator(
            database: database, hasher: hasher,
            failures: FailureLimiter(most: configuration.failuresPerAddress, perSecond: configuration.failuresPerAddressPerSecond),
            cache: PrincipalCache(trust: configuration.intervals.principalTrust), metrics: metrics, logger: logger)
        creations = Creations(database: database, metrics: metrics)
        keyHolds = KeyHolds(cache: authenticator.cache, metrics: metrics)
        limiter = TenantLimiter(
            defaults: configuration.limits, intervals: configuration.intervals, replicaID: replicaID, database: database, redis: redis,
            subscriber: subscriber, metrics: metrics, logger: logger)
        usage = UsageService(database: database, limiter: limiter)
        agents = AgentService(database: database, gate: gate, limiter: limiter)
        let stream = RunStream(redis)
        feeds = FeedHub(
            database: database, stream: stream, subscriber: subscriber, loops: loops, metrics: metrics, logger: logger)
        let publisher = RunPublisher(
            feeds: feeds, stream: stream,
            published: metrics.counter("hsafa_events_published_total", help: "Run events committed by this process."))
        let active = ActiveRuns()
        workers = RunWorkers(
            replicaID: replicaID, database: database, subscriber: subscriber, active: active, loops: loops,
            slots: configuration.maxConcurrentRuns, tenantConcurrency: configuration.limits.concurrentRuns,
            leaseSeconds: configuration.runLeaseSeconds, metrics: metrics, logger: logger)
        let (versions, schedule) = (VersionBook(database: database), ScheduleNotes(configuration.intervals))
        // Runs tell devices and devices tell runs: the hub is known a moment after the service, before anything lives.
        let link = DeviceLink()
        runs = RunService(
            database: database, gate: gate, publisher: publisher, wakeups: Wakeups(redis), workers: workers, schedule: schedule,
            replicaID: replicaID, metrics: metrics, logger: logger,
            withoutSecrets: { [secrets] outcome, version, scope in
                let names = try await versions.config(scope, version).secretNames
                return SecretValues(try await secrets.open(names, scope)).cut(from: outcome)
            }, callsEnded: { scope, calls in link.callsEnded(scope, calls) })
        deviceHub = DeviceHub(
            configuration: configuration, replicaID: replicaID, database: database, redis: redis, subscriber: subscriber, runs: runs,
            gate: gate, limiter: limiter, loops: loops, metrics: metrics, logger: logger)
        devices = DeviceService(configuration: configuration, database: database, redis: redis, hub: deviceHub, runs: runs)
        link.hub = deviceHub
        let mcp = MCPTools(metrics: metrics, logger: logger) { [egress, secrets] in MCPRoad(to: $1, $0, secrets, egress) }
        approvals = ApprovalService(database: database, runs: runs, gate: gate) { scope, call, target in
            if target == .device { link.callReleased(scope, call) }
        }
        external = ExternalService(database: database, configuration: configuration, runs: runs, logger: logger)
        scheduler = Scheduler(
            database: database, notes: schedule, timers: Timers(database: database, runs: runs, metrics: metrics, logger: logger),
            deliveries: Deliveries(
                database: database, runs: runs, versions: versions, secrets: secrets, external: external, egress: egress, gate: gate,
                times: schedule.deliveries, timeout: configuration.intervals.deliveryAttempt, metrics: metrics, logger: logger),
            logger: logger)
        performer = RunPerformer(
            database: database, publisher: publisher, versions: versions,
            models: ModelDirectory(clients: [
                "simulated": { _ in SimulatedModel() }, "openai-compatible": { OpenAIChatClient(exchange: $0) },
            ]), egress: egress, secrets: secrets, gate: gate, mcp: mcp, schedule: schedule, limiter: limiter, active: active, runs: runs,
            callsCommitted: { claimed, calls in link.callsCommitted(claimed, calls) },
            callsEnded: { scope, calls in link.callsEnded(scope, calls) }, isShuttingDown: { [workers] in workers.isDraining },
            logger: logger)
        accessWatch = AccessWatch(
            database: database, cache: authenticator.cache, subscriber: subscriber, wakeups: Wakeups(redis),
            interval: configuration.intervals.accessPoll, metrics: metrics, logger: logger
        ) { [keyHolds, deviceHub, workers] changes in
            keyHolds.apply(changes)
            guard !changes.tenants.isEmpty else { return }
            let suspended = Set(changes.tenants.lazy.filter(\.isSuspended).map(\.tenantID))
            deviceHub.suspend(suspended)
            workers.suspend(suspended)
            // Runs of a tenant that was resumed wait in the queue.
            if suspended.count < changes.tenants.count { workers.nudge() }
        } tick: { [keyHolds] in
            keyHolds.endExpired()
        }
        keys = KeyService(database: database, hasher: hasher, watch: accessWatch)
        runTokens = RunTokenService(database: database, watch: accessWatch, configuration: configuration, metrics: metrics)
        tenants = TenantService(database: database, watch: accessWatch, notices: TenantNotices(redis))
        audit = AuditService(database: database)
        sweepers = Sweepers(
            database: database, runs: runs, policies: policies, interval: configuration.intervals.deadlineSweep,
            childSweep: configuration.intervals.callSweep, logger: logger)
    }

    private enum Living { case essential, helper }

    /// Lives until graceful shutdown: then runs are handed back, streams and sockets end, `serve` returns, and the connections to the
    /// databases close last. `serve` is the HTTP side; it starts when the database answers and has this version's schema.
    public func run(_ serve: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { connections in
            connections.addTask { await self.postgres.run() }
            connections.addTask { await self.redis.run() }
            connections.addTask { await self.subscriber.run() }
            let outcome: Result<Void, any Error>
            do {
                try await self.checkSchema()
                try await self.live(serve)
                outcome = .success(())
            } catch { outcome = .failure(error) }
            self.hasher.shutDown()
            await self.authenticator.flushUses()
            await self.egress.shutDown()
            self.postgres.shutDown()
            self.redis.shutDown()
            self.subscriber.shutDown()
            try await connections.waitForAll()
            try outcome.get()
        }
    }

    /// What requests and runs wait for lives on the loops, as they do; a server that is being set up works for long without a wait.
    private func live(_ serve: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Living.self) { group in
            group.addTask(executorPreference: loops.next()) {
                await self.feeds.run()
                return .helper
            }
            group.addTask {
                await self.limiter.run()
                return .helper
            }
            group.addTask {
                await self.sweepers.run()
                return .helper
            }
            group.addTask {
                await self.tenantPolicyBook.run()
                return .helper
            }
            group.addTask {
                await self.accessWatch.run()
                return .helper
            }
            group.addTask {
                await self.authenticator.runFlush()
                return .helper
            }
            group.addTask {
                try await self.deviceHub.run()
                return .helper
            }
            group.addTask {
                // Open sockets would hold the HTTP side's end up otherwise.
                try? await gracefulShutdown()
                if !Task.isCancelled { self.deviceHub.beginShutdown() }
                return .helper
            }
            group.addTask(executorPreference: loops.next()) {
                await self.workers.run(self.performer)
                return .essential
            }
            group.addTask {
                await self.scheduler.run()
                return .essential
            }
            group.addTask {
                try await serve()
                return .essential
            }
            defer { group.cancelAll() }
            var essentials = 3
            while essentials > 0, let ended = try await group.next() {
                if case .essential = ended { essentials -= 1 }
            }
        }
    }

    /// Waits for the database for a bounded time; an error says what is missing.
    private func checkSchema() async throws {
        let start = ContinuousClock.now
        while true {
            do {
                let missing = try await Migrator.pending(postgres, directory: configuration.migrationsDirectory)
                guard missing.isEmpty else {
                    throw GatewayError.unavailable(
                        "The database lacks migrations; run `hsafa-gateway migrate`.", cause: missing.joined(separator: ", "))
                }
                return
            } catch let error as PostgresError where error.code == .connection && ContinuousClock.now - start < .seconds(30) {
                logger.warning("waiting for Postgres", metadata: ["cause": "\(error)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
    }
}
