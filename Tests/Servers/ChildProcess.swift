import CSpawn
import Foundation
import Synchronization

/// A process that a test starts, signals, and waits for.
///
/// Not Foundation's `Process`: that hears of an end by a socket which processes started at the same moment inherit, so that it may wait for
/// one process until quite another ends, and it blocks the tests' few threads meanwhile. Nothing but the three standard streams is inherited
/// here, whatever other threads open at the time, and it is the kernel that is asked for the end.
public final class ChildProcess: Sendable {
    public let pid: Int32
    private let ended = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - words: The program, looked for in `PATH`, and its arguments.
    ///   - environment: All of it; nil: the tests' own.
    ///   - input: Descriptors that it gets as its standard streams, and that stay the caller's to close; nil: `/dev/null`.
    public init(
        _ words: [String], environment: [String: String]? = nil, directory: String? = nil, input: Int32? = nil, output: Int32? = nil,
        error: Int32? = nil
    ) throws {
        let variables = environment ?? ProcessInfo.processInfo.environment
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for word in argv + envp { free(word) } }
        var pid: Int32 = 0
        let code = cspawn(&pid, &argv, &envp, directory, input ?? -1, output ?? -1, error ?? -1)
        guard code == 0 else { throw ServerFailure(description: "\(words[0]): \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    /// Runs it to its end.
    ///
    /// - Parameter input: All that it can read from its standard input.
    public static func run(
        _ words: [String], environment: [String: String]? = nil, directory: String? = nil, input: String = ""
    ) throws -> (status: Int32, output: String, error: String) {
        let (input, output, error) = (try Capture(input), try Capture(), try Capture())
        let child = try ChildProcess(
            words, environment: environment, directory: directory, input: input.descriptor, output: output.descriptor,
            error: error.descriptor)
        let status = child.wait()
        return (status, output.text, error.text)
    }

    /// The exit status, or 128 and the number of the signal that ended it, as a shell says it; nil while it runs.
    public var status: Int32? { reap(WNOHANG) }

    public var isRunning: Bool { status == nil }

    /// Blocks its thread until the process has ended.
    @discardableResult public func wait() -> Int32 {
        // Without taking the end away, and without the lock: others may signal it meanwhile.
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
        return reap(0) ?? 255
    }

    /// Nothing when it has ended: its number may be another's by then.
    public func signal(_ number: Int32) {
        ended.withLock { if $0 == nil { _ = Glibc.kill(pid, number) } }
    }

    /// SIGKILL: as a crash.
    public func kill() {
        signal(SIGKILL)
        wait()
    }

    private func reap(_ options: Int32) -> Int32? {
        ended.withLock { ended in
            if let ended { return ended }
            var raw: Int32 = 0
            var result = waitpid(pid, &raw, options)
            while result < 0, errno == EINTR { result = waitpid(pid, &raw, options) }
            guard result == pid else { return nil }
            ended = raw & 0x7F == 0 ? (raw >> 8) & 0xFF : 128 + raw & 0x7F
            return ended
        }
    }
}

/// What a process reads or writes, in a file without a name: nobody has to keep up with it.
private final class Capture {
    let descriptor: Int32

    init(_ text: String = "") throws {
        var template = Array((NSTemporaryDirectory() + "/output-XXXXXX").utf8CString)
        descriptor = mkstemp(&template)
        unlink(template)
        guard descriptor >= 0 else { throw ServerFailure(description: "no temporary file: \(String(cString: strerror(errno)))") }
        try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).write(contentsOf: Data(text.utf8))
        lseek(descriptor, 0, SEEK_SET)
    }

    deinit { close(descriptor) }

    var text: String {
        lseek(descriptor, 0, SEEK_SET)
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        return String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
    }
}
