import CLibPQ
import Logging

/// PG_DIAG_* of postgres_ext.h, which are character macros.
enum DiagnosticField: Int32 {
    case severity = 86  // 'V', never translated
    case sqlState = 67  // 'C'
    case message = 77  // 'M'
    case detail = 68  // 'D'
    case constraint = 110  // 'n'
    case function = 82  // 'R'
}

extension ResultBox {
    func field(_ field: DiagnosticField) -> String? { ResultBox.field(raw, field) }

    static func field(_ result: OpaquePointer, _ field: DiagnosticField) -> String? {
        PQresultErrorField(result, field.rawValue).map { String(cString: $0) }
    }
}

extension PostgresError {
    init(_ result: ResultBox) {
        let sqlState = result.field(.sqlState)
        let message = result.field(.message) ?? PQresultErrorMessage(result.raw).map { String(cString: $0) } ?? "unknown error"
        // query_canceled: the statement timeout. (Callers that cancelled have had their answer.)
        self.init(
            sqlState == "57014" ? .timeout : .server, message.split(separator: "\n").joined(separator: "; "), sqlState: sqlState,
            constraint: result.field(.constraint), detail: result.field(.detail))
    }
}

/// Brings the server's notices to the log.
final class NoticeLogger {
    private let logger: Logger
    init(_ logger: Logger) { self.logger = logger }

    static let receiver: PQnoticeReceiver = { context, result in
        guard let context, let result else { return }
        Unmanaged<NoticeLogger>.fromOpaque(context).takeUnretainedValue().log(result)
    }

    private func log(_ result: OpaquePointer) {
        let severity = ResultBox.field(result, .severity) ?? "NOTICE"
        let message = ResultBox.field(result, .message) ?? PQresultErrorMessage(result).map { String(cString: $0) } ?? ""
        let level: Logger.Level = ["DEBUG", "LOG", "INFO", "NOTICE"].contains(severity) ? .debug : .warning
        logger.log(
            level: level, "postgres: \(message)",
            metadata: ["severity": "\(severity)", "sqlState": "\(ResultBox.field(result, .sqlState) ?? "")"])
    }
}
