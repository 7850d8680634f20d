import Domain
import GatewayHTTP
import Glibc
import JSON
import Logging

/// One line an entry on standard error, as text or as JSON.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let label: String
    let isJSON: Bool

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = event.metadata.map { metadata.merging($0) { $1 } } ?? metadata
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        if isJSON {
            var writer = JSONWriter(capacity: 256)
            writer.beginObject()
            writer.field("ts", string: Timestamp.now().description)
            writer.field("level", string: event.level.rawValue)
            writer.field("message", string: event.message.description)
            for (key, value) in all.sorted(by: { $0.key < $1.key }) { writer.field(key, string: value.description) }
            writer.endObject()
            bytes = writer.bytes
        } else {
            Timestamp.now().append(to: &bytes)
            bytes.append(contentsOf: " \(event.level.rawValue) \(Self.oneLine(event.message.description))".utf8)
            for (key, value) in all.sorted(by: { $0.key < $1.key }) {
                bytes.append(contentsOf: " \(key)=\(Self.oneLine(value.description))".utf8)
            }
        }
        bytes.append(UInt8(ascii: "\n"))
        Self.writeLine(bytes)
    }

    private static func writeLine(_ bytes: [UInt8]) {
        // One write(2) a line: lines of several threads never mix.
        bytes.withUnsafeBytes { buffer in _ = write(STDERR_FILENO, buffer.baseAddress, buffer.count) }
    }

    /// What comes from outside must not be able to begin a line of its own.
    private static func oneLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return text }
        return String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) })
    }

    static func makeLogger(level: Logger.Level, isJSON: Bool) -> Logger {
        var logger = Logger(label: "hsafa") { LineLogHandler(logLevel: level, label: $0, isJSON: isJSON) }
        logger.logLevel = level
        return logger
    }
}

extension LineLogHandler: RequestLineLog {
    /// As any other line of its level, without a dictionary in between.
    func log(_ line: RequestLine) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(320)
        if isJSON {
            var writer = JSONWriter(capacity: 320)
            writer.beginObject()
            writer.field("ts", string: Timestamp.now().description)
            writer.field("level", string: "info")
            writer.field("message", string: "request")
            line.fields { writer.field("\($0)", string: $1) }
            writer.endObject()
            bytes = writer.bytes
        } else {
            Timestamp.now().append(to: &bytes)
            bytes.append(contentsOf: " info request".utf8)
            line.fields { name, value in
                bytes.append(UInt8(ascii: " "))
                name.withUTF8Buffer { bytes.append(contentsOf: $0) }
                bytes.append(UInt8(ascii: "="))
                bytes.append(contentsOf: Self.oneLine(value).utf8)
            }
        }
        bytes.append(UInt8(ascii: "\n"))
        Self.writeLine(bytes)
    }
}
