import Foundation
import Glibc

/// Redis of one test's own, to be stopped and flushed at will.
public final class OwnRedis {
    private let socket: String
    private var process: Process?

    public init() {
        socket = FileManager.default.temporaryDirectory.appending(path: "hsafa-redis-\(UUID().uuidString.prefix(8)).sock").path
    }
    deinit { stop() }

    public var url: String { "unix://\(socket)" }

    public func start() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        self.process = process
    }

    /// Connections stay, and nothing is answered any more until `resume`.
    public func pause() { if let process { kill(process.processIdentifier, SIGSTOP) } }
    public func resume() { if let process { kill(process.processIdentifier, SIGCONT) } }

    /// What it held is lost.
    public func stop() {
        guard let process, process.isRunning else { return }
        // Not SIGTERM: a child inherits the signals that the starting thread blocks, and that is among them.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
