import Foundation
import HsafaClient
import Storage
import TestServers
import TestSupport

/// The real binary, in a process of its own, that a test may kill.
final class GatewayProcess {
    let port: Int
    private let environment: TestEnvironment
    private let binary: String
    private var process: ChildProcess?
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

    private func launch() throws -> ChildProcess {
        var variables = [
            "DATABASE_URL": environment.appURL, "REDIS_URL": environment.redisURL, "PORT": String(port),
            "POLICIES_DIR": TestEnvironment.repository + "/policies", "MIGRATIONS_DIR": TestEnvironment.repository + "/migrations",
            "RUN_LEASE_SECONDS": "3", "DEVICE_HEARTBEAT_SECONDS": "2", "LOG_LEVEL": "debug",
        ]
        variables["MASTER_KEY"] = ProcessInfo.processInfo.environment["TEST_MASTER_KEY"]
        let log = try FileHandle(forWritingTo: URL(filePath: logFile))
        defer { try? log.close() }
        try log.seekToEnd()
        return try ChildProcess(
            [binary, "serve"], environment: variables.merging(settings) { $1 }, output: log.fileDescriptor, error: log.fileDescriptor)
    }

    /// For settings with which it does not start; the exit status.
    func runToEnd() throws -> Int32 {
        try launch().wait()
    }

    func signal(_ number: Int32) {
        process?.signal(number)
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
        let variables = ["DATABASE_URL": environment.appURL, "DATABASE_OWNER_URL": environment.ownerURL]
        let (status, output, _) = try ChildProcess.run([binary] + arguments, environment: variables)
        return (status, output.trimmingCharacters(in: .newlines))
    }

    /// As the kernel does it when memory is out: no word of farewell.
    func kill9() {
        process?.kill()
    }

    /// SIGTERM; the exit status.
    func terminate() -> Int32 {
        guard let process else { return -1 }
        process.signal(SIGTERM)
        return process.wait()
    }
}

extension GatewayProcess {
    /// Calls `body` with a client of its own, held to the description.
    func withClient<R>(key: String, _ body: (HsafaClient) async throws -> R) async throws -> R {
        let client = try HsafaClient(baseURL: url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        do {
            let result = try await body(client)
            await client.shutdown()
            return result
        } catch {
            await client.shutdown()
            throw error
        }
    }
}
