import HsafaClient
import JSON

/// What ends a command, with the exit code that scripts see. The codes are listed in `hsafa --help`.
struct Failure: Error {
    static let general: Int32 = 1
    static let unauthorized: Int32 = 3
    static let notFound: Int32 = 4
    static let unreachable: Int32 = 5
    static let runCanceled: Int32 = 6

    let message: String
    let exitCode: Int32

    init(_ message: String, exitCode: Int32 = Failure.general) {
        self.message = message
        self.exitCode = exitCode
    }

    /// Nil for the errors of the argument parser, which report themselves.
    init?(_ error: any Error) {
        switch error {
        case let error as Failure: self = error
        case let error as HsafaClientError: self.init("\(error)" + Self.advice(error), exitCode: Self.exitCode(error))
        case let error as DeviceConnectionError: self.init("\(error)", exitCode: Self.exitCode(error))
        case let error as JSONViolation:
            self.init("\(error.pointer.isEmpty ? "(document)" : error.pointer): \(error.message)")
        case is PrivateFile.Failure, is JSONError, is OutcomeStore.Failure, is CancellationError: self.init("\(error)")
        default: return nil
        }
    }

    private static func exitCode(_ error: HsafaClientError) -> Int32 {
        switch error.status {
        case nil: error.isUnreachable ? unreachable : general
        case 401, 403: unauthorized
        case 404: notFound
        case 502, 503, 504: unreachable
        default: general
        }
    }

    private static func exitCode(_ error: DeviceConnectionError) -> Int32 {
        switch error {
        case .revoked, .refused, .wrongAudience: unauthorized
        case .unreachable: unreachable
        case .takenOver, .closed, .protocolViolation, .invalidURL: general
        }
    }

    private static func advice(_ error: HsafaClientError) -> String {
        switch error.status {
        case nil where error.isUnreachable: "\nIs the gateway running there? Choose another with --url or HSAFA_URL."
        case 401: "\nGive a key with HSAFA_API_KEY, --api-key or .hsafa/credentials."
        default: ""
        }
    }
}
