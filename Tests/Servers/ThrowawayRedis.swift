import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A `redis-server` of our own in a temporary folder, stopped by its pid: what a test does to it hurts nobody else.
public final class ThrowawayRedis: Sendable {
    public enum Endpoint: Sendable {
        case unixSocket
        case port(Int)
        case tlsPort(Int, certificates: TestCertificates)
    }

    public let folder: String
    public let endpoint: Endpoint
    private let extra: [String]
    private let process = Mutex<ChildProcess?>(nil)

    public var url: String {
        switch endpoint {
        case .unixSocket: "unix://\(folder)/redis.sock"
        case .port(let port): "redis://127.0.0.1:\(port)"
        case .tlsPort(let port, _): "rediss://localhost:\(port)"
        }
    }

    private init(endpoint: Endpoint, extra: [String]) throws {
        self.endpoint = endpoint
        self.extra = extra
        folder = try temporaryFolder()
    }

    public static func start(_ endpoint: Endpoint = .unixSocket, _ extra: [String] = []) async throws -> ThrowawayRedis {
        let server = try ThrowawayRedis(endpoint: endpoint, extra: extra)
        try await server.start()
        return server
    }

    /// Returns when the server takes connections.
    public func start() async throws {
        let process = try ChildProcess(
            ["redis-server"] + arguments + ["--save", "", "--appendonly", "no", "--dir", folder] + extra)
        stopAtExit(process)
        self.process.withLock { $0 = process }
        for _ in 0..<12_000 {
            if let channel = try? await connect() {
                try await channel.close()
                return
            }
            if let status = process.status { throw ServerFailure(description: "redis-server ended with status \(status)") }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw ServerFailure(description: "redis-server does not listen")
    }

    private var arguments: [String] {
        switch endpoint {
        case .unixSocket: ["--port", "0", "--unixsocket", "\(folder)/redis.sock"]
        case .port(let port): ["--bind", "127.0.0.1", "--port", "\(port)"]
        case .tlsPort(let port, let certificates):
            [
                "--bind", "127.0.0.1", "--port", "0", "--tls-port", "\(port)", "--tls-cert-file", certificates.certificate,
                "--tls-key-file", certificates.key, "--tls-ca-cert-file", certificates.authority, "--tls-auth-clients", "no",
            ]
        }
    }

    private func connect() async throws -> any Channel {
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        switch endpoint {
        case .unixSocket: return try await bootstrap.connect(unixDomainSocketPath: "\(folder)/redis.sock").get()
        case .port(let port), .tlsPort(let port, _): return try await bootstrap.connect(host: "127.0.0.1", port: port).get()
        }
    }

    /// SIGKILL: as a crash.
    public func kill() {
        guard let process = process.withLock({ $0 }) else { return }
        process.kill()
        forgetAtExit(process)
    }

    /// Connections stay, and nothing is answered any more until `resume`.
    public func pause() { signal(SIGSTOP) }
    public func resume() { signal(SIGCONT) }

    private func signal(_ number: Int32) {
        process.withLock { $0 }?.signal(number)
    }

    public func remove() {
        kill()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
