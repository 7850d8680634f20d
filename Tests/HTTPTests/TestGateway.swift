import Argon2
import AsyncHTTPClient
import Cryptography
import Domain
import HsafaClient
import Logging
import NIOCore
import NIOPosix
import Postgres
import Redis
import Runtime
import ServiceLifecycle
import TestSupport
import Testing

@testable import GatewayHTTP

/// A gateway in this process, on a port of its own.
struct TestGateway: Sendable {
    static let audience = "https://gateway.test"

    let environment: TestEnvironment
    let gateway: Gateway
    let port: Int
    /// What a test of the end shuts down.
    let services: ServiceGroup
    /// Ends with the gateway; canceling it is the end without grace.
    let life: Task<Void, any Error>

    /// One for the whole suite, over a database of the suite's own; each test has a tenant of its own.
    static let shared = Task { try await running(in: try await .fresh()) }

    /// Two replicas over one database: `front` takes requests and works on no run, `back` works on all of them.
    static let replicas = Task {
        let environment = try await TestEnvironment.fresh()
        let front = try await running(in: environment, maxConcurrentRuns: 0)
        return (front: front, back: try await running(in: environment))
    }

    /// One for all gateways of this process, as for all replicas of a deployment.
    static let masterKeys = MasterKey(SecureRandom.bytes(32)).map { MasterKeys(current: $0) }

    /// Two replicas whose polls are an hour away: what one hears of the other, it hears by message. `front` works on no run.
    static let apart = Task {
        let environment = try await TestEnvironment.fresh()
        @Sendable func pollsLater(_ configuration: inout GatewayConfiguration) {
            configuration.intervals.accessPoll = .seconds(3600)
            configuration.intervals.limitsAge = .seconds(3600)
            configuration.intervals.callSweep = .seconds(3600)
            configuration.runLeaseSeconds = 3600
            configuration.deviceHeartbeatSeconds = 3600
        }
        let front = try await running(in: environment, maxConcurrentRuns: 0, pollsLater)
        return (front: front, back: try await running(in: environment, pollsLater))
    }

    private struct DidNotStart: Error {}

    /// As the binary runs it: all of it hears of a shutdown.
    private struct Whole: Service {
        let gateway: Gateway
        let server: GatewayServer
        func run() async throws { try await gateway.run { try await server.run() } }
    }

    /// Lives as long as the test process, and waits for its databases as long as a busy machine takes.
    ///
    /// - Parameter redis: for tests in which Redis is away, and a gateway is to notice it.
    static func running(
        in environment: TestEnvironment, maxConcurrentRuns: Int = 256, listener: ListenerConfiguration = ListenerConfiguration(),
        routes: [Route] = RouteTable.all, logger: Logger? = nil, redis: RedisConfiguration? = nil,
        _ configure: (inout GatewayConfiguration) -> Void = { _ in }
    ) async throws -> TestGateway {
        let group = MultiThreadedEventLoopGroup.singleton
        var configuration = GatewayConfiguration(
            port: 0, publicURL: audience, policiesDirectory: TestEnvironment.repository + "/policies",
            migrationsDirectory: TestEnvironment.repository + "/migrations", maxConcurrentRuns: maxConcurrentRuns,
            openAPIFile: TestEnvironment.repository + "/openapi.yaml", docsDirectory: TestEnvironment.repository + "/viewer")
        // As the tests' keys are hashed, whose strength is not what is under test.
        configuration.argon2 = Argon2Parameters(memoryKiB: 64, iterations: 1)
        configuration.masterKeys = masterKeys
        // The systems that tools of these tests reach are on this machine.
        configuration.egress = EgressRules(byDefault: .public, allowances: [.init(tenants: nil, hosts: [try HostPattern("127.0.0.1")])])
        // No test's socket is closed because the machine is busy.
        configuration.intervals.deviceRegistration = .seconds(600)
        configure(&configuration)
        var postgres = try PostgresConfiguration(url: environment.appURL)
        TestEnvironment.wait(&postgres)
        let gateway = try Gateway(
            configuration,
            Gateway.Dependencies(
                postgres: postgres, redis: try redis ?? TestEnvironment.redisConfiguration(environment.redisURL), eventLoopGroup: group),
            logger: logger ?? environment.logger)
        let (ports, bound) = AsyncThrowingStream.makeStream(of: Int.self)
        var listener = listener
        // All of a suite's connections come from one address.
        if listener.maxConnectionsPerAddress == Limits.defaultConnectionsPerAddress {
            listener.maxConnectionsPerAddress = Limits.maxConnections
        }
        let server = GatewayServer(gateway: gateway, listener: listener, routes: routes) { bound.yield($0) }
        let services = ServiceGroup(services: [Whole(gateway: gateway, server: server)], logger: logger ?? environment.logger)
        let life = Task {
            do {
                try await services.run()
                bound.finish()
            } catch {
                bound.finish(throwing: error)
                throw error
            }
        }
        for try await port in ports {
            return TestGateway(environment: environment, gateway: gateway, port: port, services: services, life: life)
        }
        throw DidNotStart()
    }

    /// Each watcher holds a connection, and the client's usual bound on them would let the others wait.
    static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1000
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    var baseURL: String { "http://127.0.0.1:\(port)" }

    /// What comes to it is held to the description.
    func client(key: String?) -> HsafaClient {
        var client = HsafaClient(baseURL: baseURL, apiKey: key, httpClient: Self.http)
        client.timeoutSeconds = 240
        do { return try client.heldToContract() } catch {
            Issue.record("openapi.yaml cannot be read: \(error)")
            return client
        }
    }

    /// For routes of a test's own, which nothing describes.
    func undescribedClient() -> HsafaClient { HsafaClient(baseURL: baseURL, apiKey: nil, httpClient: Self.http) }

    /// One series of a metric, by its name with its labels; 0 where there is none.
    func series(_ name: String) -> Int {
        gateway.metrics.render().split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .flatMap { $0.split(separator: " ").last.flatMap { Int($0) } } ?? 0
    }

    /// The sum of a metric's series.
    func metric(_ name: String) -> Int {
        gateway.metrics.render().split(separator: "\n").filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
            .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
    }
}
