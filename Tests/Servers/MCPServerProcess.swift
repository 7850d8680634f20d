import Foundation
import Synchronization

/// A server of the official MCP SDK (Tests/MCPServers), in a process of its own. Ends when it is stopped, or when this process does.
public final class MCPServerProcess: Sendable {
    /// Which line of the SDK: 1 speaks 2024-11-05 to 2025-11-25, 2 speaks 2026-07-28 as well; the others are releases of the years when
    /// an earlier version was the newest.
    public enum Line: String, Sendable {
        case one = "1"
        case two = "2"
        case of202411 = "1.6"
        case of202503 = "1.9"
        case of202506 = "1.12"

        /// Of streamable HTTP; the earliest release redirects a path without its slash, which a client does not follow.
        var path: String { self == .of202503 ? "/mcp/" : "/mcp" }
        var program: String { self == .one || self == .two ? "server.py" : "before.py" }
    }

    public enum Mode: String, Sendable {
        case http, json, stateless, resumable, sse, paged
        /// As http, with the tools of the gate's cases and no others.
        case gate
    }

    public let port: Int
    public let url: String
    private let process: ChildProcess
    private let input: FileHandle

    /// The servers that tests share: each is started by the first that asks.
    private static let shared = Mutex<[String: Task<MCPServerProcess, any Error>]>([:])

    public static func shared(_ line: Line, _ mode: Mode) async throws -> MCPServerProcess {
        let task = shared.withLock { servers in
            let name = "\(line) \(mode)"
            if let task = servers[name] { return task }
            let task = Task { try await start(line, mode) }
            servers[name] = task
            return task
        }
        return try await task.value
    }

    /// Returns when the server takes connections: its port comes after `listen`. With a port it comes back to where it was.
    public static func start(_ line: Line, _ mode: Mode, port: Int = 0) async throws -> MCPServerProcess {
        // Reading its first line blocks a thread; Python takes its time to begin.
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try MCPServerProcess(line, mode, port) }) }
        }
    }

    private init(_ line: Line, _ mode: Mode, _ wantedPort: Int) throws {
        var repository = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        repository.removeLast(3)
        let root = repository.joined(separator: "/")
        // Its standard input ends with this process, and it with that.
        let (input, output) = (Pipe(), Pipe())
        do {
            process = try ChildProcess(
                [
                    "\(root)/.venv/mcp-\(line.rawValue)/bin/python", "\(root)/Tests/MCPServers/\(line.program)", mode.rawValue,
                    "\(wantedPort)",
                ],
                input: input.fileHandleForReading.fileDescriptor, output: output.fileHandleForWriting.fileDescriptor, error: STDERR_FILENO)
        } catch {
            throw ServerFailure(description: "no MCP server: run scripts/mcp-servers.sh, as make test does (\(error))")
        }
        stopAtExit(process)
        self.input = input.fileHandleForWriting
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
        var text = ""
        while !text.hasSuffix("\n"), let more = try output.fileHandleForReading.read(upToCount: 1), !more.isEmpty {
            text += String(decoding: more, as: UTF8.self)
        }
        guard let port = Int(text.dropLast()) else { throw ServerFailure(description: "the MCP server \(line) \(mode) did not start") }
        self.port = port
        url = "http://127.0.0.1:\(port)" + (mode == .sse ? "/sse" : line.path)
    }

    /// SIGKILL: as a crash.
    public func kill() {
        process.kill()
        forgetAtExit(process)
    }
}
