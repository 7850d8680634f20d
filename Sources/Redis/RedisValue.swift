public import NIOCore

/// One RESP2 reply.
public enum RedisValue: Sendable, Equatable {
    case null
    case int(Int64)
    case status(String)
    case bulk(ByteBuffer)
    case array([RedisValue])
    case error(String)

    /// The text of a status or of a bulk string (bytes that are no UTF-8 are replaced).
    public var string: String? {
        switch self {
        case .status(let text): text
        case .bulk(let buffer): String(buffer: buffer)
        default: nil
        }
    }

    /// An integer reply, or a bulk string that is a decimal integer.
    public var int: Int? {
        switch self {
        case .int(let number): Int(exactly: number)
        case .bulk(let buffer): Int(String(buffer: buffer))
        default: nil
        }
    }

    public var bytes: ByteBuffer? {
        switch self {
        case .bulk(let buffer): buffer
        case .status(let text): ByteBuffer(string: text)
        default: nil
        }
    }

    public var array: [RedisValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }
}
