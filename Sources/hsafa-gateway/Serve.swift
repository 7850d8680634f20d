import ArgumentParser
import GatewayHTTP
import Glibc
import Logging
import NIOPosix
import Runtime
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the API until SIGTERM or SIGINT.",
        discussion: """
            Needs DATABASE_URL and a migrated database. At SIGTERM the gateway stops taking work, lets running steps finish within a
            bound, hands its runs to other replicas, ends streams and sockets (clients resume elsewhere), and exits with 0.
            Policies and the TLS certificate are read again when their files change, within seconds; SIGHUP does it at once.
            """)

    func run() async throws {
        let settings: Settings
        do { settings = try Settings.read() } catch let error as SettingsError { throw ValidationError(error.description) }
        let logger = LineLogHandler.makeLogger(level: settings.logLevel, isJSON: settings.isLogJSON)
        raiseDescriptorLimit(logger)
        let certificates: CertificateStore?
        do { certificates = try settings.tls.map { try CertificateStore($0, logger: logger) } } catch let error as CertificateFailure {
            throw ValidationError("TLS: \(error.description)")
        }
        let gateway: Gateway
        do {
            gateway = try Gateway(
                settings.gateway,
                Gateway.Dependencies(
                    postgres: settings.postgres, redis: settings.redis, eventLoopGroup: MultiThreadedEventLoopGroup.singleton),
                logger: logger)
        } catch let error as PolicyFolder.Failure { throw ValidationError("the policies are invalid:\n\(error.description)") }
        let process = GatewayProcess(
            gateway: gateway,
            listener: ListenerConfiguration(
                certificates: certificates, cors: settings.cors, maxConnectionsPerAddress: settings.maxConnectionsPerAddress))
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: process, successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }

    /// Each stream and each socket is a descriptor; the soft limit of most shells is 1,024.
    private func raiseDescriptorLimit(_ logger: Logger) {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 65_536)
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            logger.warning("the limit on open files could not be raised", metadata: ["limit": "\(limit.rlim_cur)"])
        }
    }
}

/// The gateway and its listeners, told of shutdown at the same moment.
struct GatewayProcess: Service {
    let gateway: Gateway
    let listener: ListenerConfiguration

    func run() async throws {
        try await gateway.run {
            try await withThrowingTaskGroup(of: Void.self) { helpers in
                helpers.addTask { await reloadAtHangup() }
                defer { helpers.cancelAll() }
                try await listen()
            }
        }
    }

    private func listen() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await GatewayServer(gateway: gateway, listener: listener).run() }
            if let port = gateway.configuration.metricsPort {
                group.addTask { try await MetricsServer(gateway: gateway, port: port).run() }
            }
            try await group.waitForAll()
        }
    }

    /// SIGHUP would otherwise end the process.
    private func reloadAtHangup() async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            gateway.policies.reload(always: true)
            listener.certificates?.reload()
        }
    }
}
