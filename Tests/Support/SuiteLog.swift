import Foundation
import Glibc
public import Logging
import Synchronization

/// The log of every gateway that the tests run, in files below `TEST_LOG_DIRECTORY`; `scripts/search-logs.sh` looks for secrets in them when
/// the suites are done.
public enum SuiteLog {
    public static var directory: String? {
        ProcessInfo.processInfo.environment["TEST_LOG_DIRECTORY"].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A text that must be in no log. One line of a file that the search reads.
    public static func noteSecret(_ secret: String) {
        guard let directory else { return }
        append(secret + "\n", to: directory + "/known-secrets")
    }

    fileprivate static let file = directory.map { $0 + "/tests-\(getpid()).log" }

    fileprivate static func append(_ text: String, to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // One write a line: lines of several threads never mix.
        Array(text.utf8).withUnsafeBytes { _ = write(descriptor, $0.baseAddress, $0.count) }
    }
}

/// What a test's gateway said.
public final class RecordedLog: Sendable {
    public struct Line: Sendable {
        public let level: Logger.Level
        public let message: String
        public let metadata: [String: String]
    }

    private static let maxLines = 10_000
    private let kept = Mutex<[Line]>([])

    public init() {}

    public var lines: [Line] { kept.withLock { $0 } }
    public func lines(_ message: String) -> [Line] { lines.filter { $0.message == message } }

    public func makeLogger(_ level: Logger.Level = .debug) -> Logger {
        var logger = Logger(label: "test") { _ in SuiteLogHandler(recorded: self) }
        logger.logLevel = level
        return logger
    }

    fileprivate func keep(_ line: Line) {
        kept.withLock { if $0.count < Self.maxLines { $0.append(line) } }
    }
}

/// Writes to the suite's file, and to a test's record.
struct SuiteLogHandler: LogHandler {
    var logLevel = Logger.Level.debug
    var metadata: Logger.Metadata = [:]
    var recorded: RecordedLog?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = (event.metadata.map { metadata.merging($0) { $1 } } ?? metadata).mapValues(\.description)
        recorded?.keep(RecordedLog.Line(level: event.level, message: event.message.description, metadata: all))
        guard let file = SuiteLog.file else { return }
        let fields = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        SuiteLog.append("\(event.level) \(event.message)\(fields)\n", to: file)
    }
}

extension Logger {
    /// Silent on the terminal, unless TEST_LOG_LEVEL says otherwise; with TEST_LOG_DIRECTORY everything goes into the suite's file.
    static func ofSuite() -> Logger {
        let level = ProcessInfo.processInfo.environment["TEST_LOG_LEVEL"].flatMap(Logger.Level.init(rawValue:))
        guard level == nil, SuiteLog.directory != nil else {
            var logger = Logger(label: "test")
            logger.logLevel = level ?? .critical
            return logger
        }
        var logger = Logger(label: "test") { _ in SuiteLogHandler() }
        logger.logLevel = .debug
        return logger
    }
}
