import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A `redis-server` of our own in a temporary folder, stopped by its pid: what a test does to it hurts nobody else.
final class ThrowawayRedis: Sendable {
    struct Failure: Error { let message: String }

    enum Endpoint: Sendable {
        case unixSocket
        case port(Int)
        case tlsPort(Int, certificates: TestCertificates)
    }

    let folder: String
    let endpoint: Endpoint
    private let extra: [String]
    private let process = Mutex<Process?>(nil)

    var url: String {
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

    static func start(_ endpoint: Endpoint = .unixSocket, _ extra: [String] = []) async throws -> ThrowawayRedis {
        let server = try ThrowawayRedis(endpoint: endpoint, extra: extra)
        try await server.start()
        return server
    }

    /// Returns when the server takes connections.
    func start() async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["redis-server"] + arguments + ["--save", "", "--appendonly", "no", "--dir", folder] + extra
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        stopAtExit(process.processIdentifier)
        self.process.withLock { $0 = process }
        for _ in 0..<500 {
            if let channel = try? await connect() {
                try await channel.close()
                return
            }
            guard process.isRunning else { throw Failure(message: "redis-server ended with status \(process.terminationStatus)") }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure(message: "redis-server does not listen")
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
    func kill() {
        guard let process = process.withLock({ $0 }) else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        forgetAtExit(process.processIdentifier)
    }

    func remove() {
        kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    static func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return port
    }
}

/// The server of tests that disturb nobody: `TEST_REDIS_URL`, or one of our own until the process ends.
enum SharedRedis {
    private static let server = Task { () -> String in
        if let url = ProcessInfo.processInfo.environment["TEST_REDIS_URL"], !url.isEmpty { return url }
        return try await ThrowawayRedis.start().url
    }

    static var url: String { get async throws { try await server.value } }
}

/// A self-signed authority and a certificate for `localhost` and 127.0.0.1, made by the openssl command.
struct TestCertificates: Sendable {
    let authority: String
    let certificate: String
    let key: String

    init(names: String = "DNS:localhost,IP:127.0.0.1") throws {
        let folder = try temporaryFolder()
        authority = "\(folder)/ca.pem"
        certificate = "\(folder)/server.pem"
        key = "\(folder)/server.key"
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        try Self.openssl(["req", "-x509", "-subj", "/CN=test authority", "-keyout", "\(folder)/ca.key", "-out", authority] + curve)
        try Self.openssl(
            [
                "req", "-x509", "-subj", "/CN=test server", "-addext", "subjectAltName=\(names)", "-CA", authority, "-CAkey",
                "\(folder)/ca.key",
            ]
                + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate] + curve)
    }

    private static func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw ThrowawayRedis.Failure(message: "openssl \(arguments) failed") }
    }
}

/// Removed when the test process ends.
private func temporaryFolder() throws -> String {
    var template = Array("/tmp/redis-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw ThrowawayRedis.Failure(message: "no temporary folder") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    leftovers.withLock { $0.folders.append(folder) }
    return folder
}

private struct Leftovers {
    var pids: Set<pid_t> = []
    var folders: [String] = []
}

private let leftovers: Mutex<Leftovers> = {
    atexit {
        leftovers.withLock { left in
            for pid in left.pids { kill(pid, SIGKILL) }
            for folder in left.folders { try? FileManager.default.removeItem(atPath: folder) }
        }
    }
    return Mutex(Leftovers())
}()

private func stopAtExit(_ pid: pid_t) { leftovers.withLock { _ = $0.pids.insert(pid) } }
private func forgetAtExit(_ pid: pid_t) { leftovers.withLock { _ = $0.pids.remove(pid) } }
