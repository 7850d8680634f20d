import Foundation
import Glibc
import HsafaClient
import Storage
import TestServers
import TestSupport

/// The real binary, in a process of its own, that a test may kill.
final class GatewayProcess {
    let port: Int
    private let environment: TestEnvironment
    private let binary: String
    private var process: Process?
    private(set) var logFile: String

    private let settings: [String: String]

    /// - Parameter settings: environment variables beside the usual ones.
    init(_ environment: TestEnvironment, settings: [String: String] = [:]) throws {
        self.environment = environment
        self.settings = settings
        binary = try TestEnvironment.variable("TEST_BIN") + "/hsafa-gateway"
        port = try freePort()
        let folder = SuiteLog.directory ?? FileManager.default.temporaryDirectory.path
        logFile = folder + "/gateway-\(port).log"
        _ = FileManager.default.createFile(atPath: logFile, contents: nil)
    }

    deinit { kill9() }

    var url: String { "http://127.0.0.1:\(port)" }

    private func launch() throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: binary)
        process.arguments = ["serve"]
        var variables = [
            "DATABASE_URL": environment.appURL, "REDIS_URL": environment.redisURL, "PORT": String(port),
            "POLICIES_DIR": TestEnvironment.repository + "/policies", "MIGRATIONS_DIR": TestEnvironment.repository + "/migrations",
            "RUN_LEASE_SECONDS": "3", "DEVICE_HEARTBEAT_SECONDS": "2", "LOG_LEVEL": "debug",
        ]
        variables["MASTER_KEY"] = ProcessInfo.processInfo.environment["TEST_MASTER_KEY"]
        process.environment = variables.merging(settings) { $1 }
        let log = try FileHandle(forWritingTo: URL(filePath: logFile))
        try log.seekToEnd()
        process.standardError = log
        process.standardOutput = log
        try process.run()
        return process
    }

    /// For settings with which it does not start; the exit status.
    func runToEnd() throws -> Int32 {
        let process = try launch()
        process.waitUntilExit()
        return process.terminationStatus
    }

    func signal(_ number: Int32) {
        if let process, process.isRunning { Glibc.kill(process.processIdentifier, number) }
    }

    /// Starts the binary and waits until it is ready to serve.
    func start() async throws {
        process = try launch()
        let client = HsafaClient(baseURL: url, apiKey: nil, httpClient: HsafaClient.makeHTTPClient())
        let isReady = await eventually { (try? await client.raw("GET", "/health/ready").status) == 200 }
        await client.shutdown()
        guard isReady else { throw TestEnvironment.Missing(description: "the gateway did not become ready; its log is \(logFile)") }
    }

    /// One command of the binary on this machine, as the database's owner; its exit status and standard output.
    func command(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(filePath: binary)
        process.arguments = arguments
        process.environment = ["DATABASE_URL": environment.appURL, "DATABASE_OWNER_URL": environment.ownerURL]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self).trimmingCharacters(in: .newlines))
    }

    /// As the kernel does it when memory is out: no word of farewell.
    func kill9() {
        guard let process, process.isRunning else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// SIGTERM; the exit status.
    func terminate() -> Int32 {
        guard let process else { return -1 }
        process.terminate()
        process.waitUntilExit()
        return process.terminationStatus
    }
}
