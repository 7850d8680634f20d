import Domain
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
public import Runtime
public import ServiceLifecycle
import Storage

/// The HTTP side of a gateway: the API and the devices' sockets. `MetricsServer` stands beside it.
///
/// Graceful shutdown: no new connections; requests end; sockets close with 1001; handlers that stream are told through their task
/// (`withGracefulShutdownHandler`), and whatever is left is closed after `Limits.shutdownGraceSeconds`.
public struct GatewayServer: Service {
    private let gateway: Gateway
    private let cors: CORSOrigins
    private let edge: ConnectionEdge
    private let routes: [Route]
    private let maxConnections: Int
    private let onBound: @Sendable (Int) async -> Void

    /// - Parameter onBound: called with the port once connections are taken; port 0 in the configuration lets the system choose.
    public init(
        gateway: Gateway, listener: ListenerConfiguration = ListenerConfiguration(),
        onBound: @escaping @Sendable (Int) async -> Void = { _ in }
    ) { self.init(gateway: gateway, listener: listener, routes: RouteTable.all, onBound: onBound) }

    /// With other routes than the API's, for tests.
    init(
        gateway: Gateway, listener: ListenerConfiguration, routes: [Route], onBound: @escaping @Sendable (Int) async -> Void
    ) {
        self.gateway = gateway
        self.routes = routes
        self.onBound = onBound
        cors = listener.cors
        maxConnections = listener.maxConnections
        edge = ConnectionEdge(
            times: listener.times, security: SecurityHeaders(isTLS: listener.certificates != nil),
            refusals: RefusalLog(metrics: gateway.metrics, logger: gateway.logger),
            shares: AddressShares(
                most: listener.maxConnectionsPerAddress, proxies: gateway.configuration.trustedProxies, metrics: gateway.metrics),
            loops: gateway.loops, certificates: listener.certificates)
    }

    public func run() async throws {
        let configuration = gateway.configuration
        let responder = StreamResponder(router: Self.router(gateway, cors, routes).buildResponder())
        // The channel asks the responder itself: the application's way to it takes each part of a request and of an answer by a queue.
        let application = Application(
            responder: responder,
            server: HTTPServerBuilder { [hub = gateway.deviceHub, edge] _ in GatewayChannel(responder: responder, hub: hub, edge: edge) },
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: 1024,
                availableConnectionsDelegate: .maximum(maxConnections, logger: gateway.logger)),
            onServerRunning: { [onBound] channel in await onBound(channel.localAddress?.port ?? configuration.port) },
            logger: gateway.logger)
        guard let certificates = edge.certificates else { return try await application.run() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            group.addTask { await certificates.run() }
            try await group.next()
            group.cancelAll()
        }
    }

    static func router(
        _ gateway: Gateway, _ cors: CORSOrigins, _ routes: [Route]
    ) -> Router<OpenContext> {
        let router = Router(context: OpenContext.self)
        router.addMiddleware {
            RequestLog(metrics: gateway.metrics, proxies: gateway.configuration.trustedProxies, logger: gateway.logger)
            CORS(origins: cors)
        }
        let notices = DeprecationNotices(routes)
        if !notices.isEmpty { router.addMiddleware { notices } }
        router.addMiddleware { ErrorTranslator() }
        for route in routes { route.mount(on: router, gateway: gateway) }
        return router
    }
}
