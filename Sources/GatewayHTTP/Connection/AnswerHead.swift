import Domain
import HTTPTypes
import NIOCore
import Synchronization

/// A head as it goes out (RFC 9112 §4), written in one piece.
enum AnswerHead {
    /// RFC 9110 §8.6: these have no body, nor a length of one.
    static func hasNoBody(_ status: HTTPResponse.Status) -> Bool { status.code == 204 || status.code == 304 }

    /// - Parameters:
    ///   - length: of the body in bytes, where the head does not say it itself, as that of an answer to HEAD does.
    ///   - isLast: the connection ends with this answer.
    static func write(
        _ head: HTTPResponse, length: Int, _ security: SecurityHeaders, date: DateField, isLast: Bool, into bytes: inout ByteBuffer
    ) {
        if head.status == .ok {
            bytes.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            bytes.writeString("HTTP/1.1 \(head.status.code) \(head.status.reasonPhrase)\r\n")
        }
        let hasNoBody = hasNoBody(head.status)
        var hasPolicy = false
        var hasLength = hasNoBody
        for field in head.headerFields {
            if field.name == .contentLength {
                if hasNoBody { continue }
                hasLength = true
            }
            if isLast, field.name == .connection { continue }
            hasPolicy = hasPolicy || field.name == .contentSecurityPolicy
            bytes.writeString(field.name.rawName)
            bytes.writeStaticString(": ")
            bytes.writeString(field.value)
            bytes.writeStaticString("\r\n")
        }
        if !hasLength { bytes.writeString("content-length: \(length)\r\n") }
        security.write(hasPolicy: hasPolicy, into: &bytes)
        bytes.writeStaticString("date: ")
        bytes.writeString(date.text)
        bytes.writeStaticString(isLast ? "\r\nconnection: close\r\n\r\n" : "\r\n\r\n")
    }
}

/// `Date` (RFC 9110 §6.6.1), made once a second.
final class DateField: Sendable {
    private let made = Mutex<(second: Int64, text: String)>((.min, ""))

    var text: String {
        let now = Timestamp.now()
        let second = now.secondsSinceUnixEpoch
        return made.withLock { made in
            if made.second != second { made = (second, now.httpDate) }
            return made.text
        }
    }
}
