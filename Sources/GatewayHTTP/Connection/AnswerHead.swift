import Domain
import HTTPTypes
import NIOCore
import Synchronization

/// A head as it goes out (RFC 9112 §4), written in one piece.
enum AnswerHead {
    /// - Parameter isLast: the connection ends with this answer.
    static func write(
        _ head: HTTPResponse, _ security: SecurityHeaders, date: DateField, isLast: Bool, into bytes: inout ByteBuffer
    ) {
        if head.status == .ok {
            bytes.writeStaticString("HTTP/1.1 200 OK\r\n")
        } else {
            bytes.writeString("HTTP/1.1 \(head.status.code) \(head.status.reasonPhrase)\r\n")
        }
        // RFC 9110 §8.6: these have no body, nor a length of one.
        let hasNoBody = head.status.code == 204 || head.status.code == 304
        var hasPolicy = false
        for field in head.headerFields {
            if hasNoBody, field.name == .contentLength { continue }
            if isLast, field.name == .connection { continue }
            hasPolicy = hasPolicy || field.name == .contentSecurityPolicy
            bytes.writeString(field.name.rawName)
            bytes.writeStaticString(": ")
            bytes.writeString(field.value)
            bytes.writeStaticString("\r\n")
        }
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
