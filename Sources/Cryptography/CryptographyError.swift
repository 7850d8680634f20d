import COpenSSL

/// What OpenSSL refused. Neither text holds key material or plaintext.
public struct CryptographyError: Error, Sendable, Equatable, CustomStringConvertible {
    public let operation: String
    public let detail: String

    public init(operation: String, detail: String) {
        self.operation = operation
        self.detail = detail
    }

    public var description: String { "\(operation): \(detail)" }

    /// Takes the newest entry of this thread's OpenSSL error queue and empties the queue.
    static func last(_ operation: String) -> CryptographyError {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        guard code != 0 else { return CryptographyError(operation: operation, detail: "OpenSSL gave no reason") }
        var text = [UInt8](repeating: 0, count: 256)
        text.withUnsafeMutableBytes { buffer in
            ERR_error_string_n(code, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count)
        }
        return CryptographyError(operation: operation, detail: String(decoding: text.prefix { $0 != 0 }, as: UTF8.self))
    }
}
