import Domain
import Hummingbird
import Logging
public import Runtime
public import ServiceLifecycle
import Storage

/// `GET /metrics` in Prometheus' text format, on a port that need not be reachable from where the API is.
public struct MetricsServer: Service {
    private let gateway: Gateway
    private let port: Int
    private let onBound: @Sendable (Int) async -> Void

    public init(gateway: Gateway, port: Int, onBound: @escaping @Sendable (Int) async -> Void = { _ in }) {
        self.gateway = gateway
        self.port = port
        self.onBound = onBound
    }

    public func run() async throws {
        let router = Router(context: BasicRequestContext.self)
        router.get("/metrics") { [metrics = gateway.metrics] _, _ in
            var answer = Answer.text(metrics.render(), contentType: "text/plain; version=0.0.4; charset=utf-8")
            answer.headers[.xContentTypeOptions] = "nosniff"
            return answer
        }
        let application = Application(
            router: router, server: .http1(configuration: .init(idleTimeout: .seconds(60))),
            configuration: ApplicationConfiguration(
                address: .hostname(gateway.configuration.host, port: port),
                availableConnectionsDelegate: .maximum(64, logger: gateway.logger)),
            onServerRunning: { [onBound, port] channel in await onBound(channel.localAddress?.port ?? port) },
            logger: gateway.logger)
        try await application.run()
    }
}
