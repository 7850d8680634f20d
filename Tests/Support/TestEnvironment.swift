import Argon2
import Cryptography
public import Domain
import FoundationEssentials
public import JSON
public import Logging
import NIOPosix
public import Postgres
public import Redis
public import Storage
import Synchronization

/// The servers that `make test` started, with a migrated database; one for the whole test process.
public final class TestEnvironment: Sendable {
    public struct Missing: Error, CustomStringConvertible {
        public let description: String

        public init(description: String) { self.description = description }
    }

    public let ownerURL: String
    public let appURL: String
    public let redisURL: String
    public let owner: PostgresClient
    public let app: PostgresClient
    public let database: Database
    public let redis: RedisClient
    public let subscriber: RedisSubscriber
    public let logger: Logger

    public static let repository: String = {
        // Tests/Support/TestEnvironment.swift → the repository.
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/")
    }()

    /// Made by the first test that asks for it.
    public static let shared = Task {
        try await TestEnvironment(
            owner: try variable("TEST_OWNER_URL"), app: try variable("TEST_APP_URL"), redis: try variable("TEST_REDIS_URL"))
    }

    public static func start() async throws -> TestEnvironment { try await shared.value }

    /// A database of its own: gateways that share one are replicas of each other and take each other's runs.
    public static func fresh(redis: String? = nil) async throws -> TestEnvironment {
        let name = "hsafa_" + UUID.version7().lowercased.replacing("-", with: "")
        var configuration = try PostgresConfiguration(url: try variable("TEST_SUPERUSER_URL"))
        wait(&configuration)
        let superuser = PostgresClient(configuration, logger: Logger(label: "test"))
        let running = Task { await superuser.run() }
        _ = try await superuser.query(SQL(unsafeSQL: "CREATE DATABASE \(name) OWNER hsafa_owner"), lane: .slow)
        superuser.shutDown()
        await running.value
        return try await TestEnvironment(
            owner: try variable("TEST_OWNER_URL").replacing("/hsafa_test", with: "/\(name)"),
            app: try variable("TEST_APP_URL").replacing("/hsafa_test", with: "/\(name)"), redis: redis ?? variable("TEST_REDIS_URL"))
    }

    /// Over a server of the test's own, whose roles are there (scripts/roles.sql) and whose database is empty.
    public static func over(owner: String, app: String, redis: String? = nil) async throws -> TestEnvironment {
        try await TestEnvironment(owner: owner, app: app, redis: redis ?? variable("TEST_REDIS_URL"))
    }

    /// With the one role that sees the rows of all tenants at once; no gateway has it.
    public func asSuperuser<Value: Sendable>(_ body: (PostgresClient) async throws -> Value) async throws -> Value {
        let database = try await owner.query("SELECT current_database()::text").first?.decode(0, as: String.self) ?? ""
        let url = try Self.variable("TEST_SUPERUSER_URL").replacing("/hsafa_test", with: "/\(database)")
        var configuration = try PostgresConfiguration(url: url)
        Self.wait(&configuration)
        let superuser = PostgresClient(configuration, logger: logger)
        let running = Task { await superuser.run() }
        let value: Value
        do { value = try await body(superuser) } catch {
            superuser.shutDown()
            await running.value
            throw error
        }
        superuser.shutDown()
        await running.value
        return value
    }

    public static func variable(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            throw Missing(description: "\(name) is not set: run the tests with `make test`, which starts Postgres and Redis for them")
        }
        return value
    }

    private init(owner ownerURL: String, app appURL: String, redis redisURL: String) async throws {
        self.ownerURL = ownerURL
        self.appURL = appURL
        self.redisURL = redisURL
        let quiet = Logger.ofSuite()
        logger = quiet
        owner = PostgresClient(try Self.configuration(ownerURL), logger: quiet)
        app = PostgresClient(try Self.configuration(appURL), logger: quiet)
        database = Database(client: app)
        let redisConfiguration = try Self.redisConfiguration(redisURL)
        redis = RedisClient(redisConfiguration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        subscriber = RedisSubscriber(redisConfiguration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        // They live as long as the test process.
        let (owner, app, redis, subscriber) = (owner, app, redis, subscriber)
        Task { await owner.run() }
        Task { await app.run() }
        Task { await redis.run() }
        Task { await subscriber.run() }
        try await Migrator(client: owner, directory: Self.repository + "/migrations", logger: quiet).migrate()
    }

    public static func configuration(_ url: String) throws -> PostgresConfiguration {
        var configuration = try PostgresConfiguration(url: url)
        configuration.scopeSetting = Database.scopeSetting
        configuration.usesGenericPlans = true
        // Many tests have a database of their own, all on one server.
        configuration.sharedConnections = 1
        configuration.transactionConnections = 2
        configuration.listConnections = 1
        wait(&configuration)
        return configuration
    }

    /// What is under test is not the machine's speed: time limits are for what would never come.
    public static func wait(_ configuration: inout PostgresConfiguration) {
        configuration.statementTimeoutMilliseconds = 120_000
        configuration.connectTimeoutSeconds = 60
        configuration.leaseTimeoutMilliseconds = 120_000
        configuration.listTimeoutMilliseconds = 120_000
        configuration.listWaitMilliseconds = 120_000
        configuration.idleTransactionTimeoutMilliseconds = 240_000
    }

    /// The same of Redis.
    public static func redisConfiguration(_ url: String) throws -> RedisConfiguration {
        var configuration = try RedisConfiguration(url: url)
        configuration.commandTimeoutMilliseconds = 60_000
        configuration.connectTimeoutMilliseconds = 60_000
        configuration.keepAliveMilliseconds = 60_000
        return configuration
    }

    /// A tenant of this test's own, so that tests run beside each other.
    public func makeTenant() async throws -> TenantScope {
        let slug = "t-" + UUID.version7().lowercased
        let id = try await Bootstrap(owner: owner).ensureTenant(slug: slug, name: "test")
        return TenantScope(tenantID: id, slug: slug)
    }

    /// A key of the tenant; the hash is made with the least cost, as what is under test is not argon2's strength.
    public func makeKey(_ scope: TenantScope, scopes: [Scope] = Scope.allCases) async throws -> String {
        let (token, hash) = try await Self.makeSecret()
        _ = try await Bootstrap(owner: owner).insertKey(
            tenant: scope.tenantID, publicID: token.id, name: "test", secretHash: hash, scopes: scopes, isAdmin: false)
        return token.text
    }

    /// A key of the platform's admins.
    public func makeAdminKey() async throws -> String {
        let bootstrap = Bootstrap(owner: owner)
        let tenant = try await bootstrap.ensureTenant(slug: Bootstrap.platformSlug, name: "Platform")
        let (token, hash) = try await Self.makeSecret()
        _ = try await bootstrap.insertKey(
            tenant: tenant, publicID: token.id, name: "test", secretHash: hash, scopes: [], isAdmin: true)
        return token.text
    }

    public static func makeSecret() async throws -> (CredentialToken, hash: String) {
        let token = CredentialToken.generate(.apiKey)
        SuiteLog.noteSecret(String(token.text.dropFirst("hsk_".count + token.id.count + 1)))
        let hasher = PasswordHasher(threads: 1, maxQueued: 8, parameters: Argon2Parameters(memoryKiB: 64, iterations: 1))
        defer { hasher.shutDown() }
        return (token, try await hasher.hash(Array(token.text.utf8), salt: SecureRandom.bytes(16)))
    }

    /// An agent with one version that plays `script`.
    public func makeAgent(_ scope: TenantScope, name: String = "tester", config: RawJSON) async throws -> (AgentRecord, AgentVersionRecord)
    {
        let tenant = database.tenant(scope)
        guard try await tenant.changes(by: .test).insertAgent(.generate(), name: name, description: nil).record != nil,
            let agent = try await tenant.agent(named: name)
        else { throw Missing(description: "agent \(name) exists") }
        let hash = try AgentConfig.hash(of: try config.document().root)
        guard
            case .created(let version) = try await tenant.changes(by: .test).publish(
                agent.agentID, version: nil, config: config, configHash: hash, metadata: nil),
            let current = try await tenant.agent(agent.agentID)
        else { throw Missing(description: "no version was made") }
        return (current, version)
    }
}

/// Polls until a condition holds; false when it did not within the bound, which is a safety net. For conditions that nothing announces.
public func eventually(within seconds: Double = 120, _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + .milliseconds(Int(seconds * 1000))
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return try await condition()
}
