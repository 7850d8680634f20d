import Foundation
import Synchronization

/// A Postgres server of its own in a temporary directory, on a unix socket only. Stopped at the end of the process at the latest.
public final class ThrowawayCluster: Sendable {
    public let directory: String
    private let binaries: String
    private let listening: Listening?

    private struct Listening {
        let port: Int
        let certificates: TestCertificates?
    }

    private static let running = Mutex<[String: ThrowawayCluster]>([:])

    /// A libpq URI of the superuser's database.
    public var url: String { url(user: "postgres", database: "postgres") }

    public func url(user: String, database: String) -> String {
        let host = directory.replacingOccurrences(of: "/", with: "%2F")
        return "postgresql://\(user)@\(host)/\(database)"
    }

    /// Over TCP, when it was started with certificates.
    public func url(host: String, _ settings: String) -> String {
        "postgresql://postgres@\(host):\(listening?.port ?? 5432)/postgres?\(settings)"
    }

    /// With a port it also listens on 127.0.0.1, and with certificates it speaks TLS there.
    public init(port: Int? = nil, certificates: TestCertificates? = nil) throws {
        listening = port.map { Listening(port: $0, certificates: certificates) }
        binaries = try Self.findBinaries()
        directory = NSTemporaryDirectory() + "pgtest-" + UUID().uuidString.prefix(8).lowercased()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if getuid() == 0 { try Self.run("/bin/chown", ["postgres", directory], asPostgres: false) }
        try command("initdb", ["-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"])
        if let certificates = listening?.certificates {
            // The server refuses a key that others may read, or that is not its own.
            for (from, to) in [(certificates.certificate, "server.crt"), (certificates.key, "server.key")] {
                try FileManager.default.copyItem(atPath: from, toPath: data + "/" + to)
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: data + "/" + to)
                if getuid() == 0 { try Self.run("/bin/chown", ["postgres", data + "/" + to], asPostgres: false) }
            }
        }
        try start()
        Self.register(self)
    }

    private var data: String { directory + "/data" }

    public func start() throws {
        let network = listening.map { "-h 127.0.0.1 -p \($0.port) -c ssl=\($0.certificates == nil ? "off" : "on")" } ?? "-h '' -c ssl=off"
        let options = "-k \(directory) \(network) -c fsync=off -c max_connections=60 -c shared_buffers=32MB"
        try command("pg_ctl", ["-D", data, "-o", options, "-l", data + "/server.log", "-w", "-t", "30", "start"])
    }

    public func stop() throws { try command("pg_ctl", ["-D", data, "-m", "immediate", "-w", "stop"]) }

    public func restartImmediately() throws {
        try command("pg_ctl", ["-D", data, "-l", data + "/server.log", "-m", "immediate", "-w", "-t", "30", "restart"])
    }

    public func remove() {
        Self.running.withLock { $0[directory] = nil }
        try? stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Runs a file of SQL as the superuser; `variables` are psql's.
    public func run(script: String, variables: [String: String] = [:]) throws {
        let settings = variables.flatMap { ["-v", "\($0.key)=\($0.value)"] }
        try command(
            "psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", directory, "-U", "postgres", "-d", "postgres"] + settings + ["-f", script])
    }

    private func command(_ name: String, _ arguments: [String]) throws {
        try Self.run(binaries + "/" + name, arguments, asPostgres: getuid() == 0)
    }

    private static func run(_ path: String, _ arguments: [String], asPostgres: Bool) throws {
        // The server refuses to run as root.
        let words = asPostgres ? ["/usr/sbin/runuser", "-u", "postgres", "--", path] + arguments : [path] + arguments
        let status = try ChildProcess(words).wait()
        guard status == 0 else { throw ServerFailure(description: "\(words.joined(separator: " ")): status \(status)") }
    }

    private static func findBinaries() throws -> String {
        let environment = ProcessInfo.processInfo.environment
        var candidates = [environment["TEST_PG_BIN"]].compactMap { $0 }
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        candidates += versions.compactMap { Int($0) }.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
        candidates += (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0 + "/initdb") }) else {
            throw ServerFailure(description: "no initdb found; set TEST_PG_BIN")
        }
        return found
    }

    private static let stopsAtExit: Void = {
        _ = atexit {
            for cluster in ThrowawayCluster.running.withLock({ Array($0.values) }) { cluster.remove() }
        }
    }()

    private static func register(_ cluster: ThrowawayCluster) {
        _ = stopsAtExit
        running.withLock { $0[cluster.directory] = cluster }
    }
}
