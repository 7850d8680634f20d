import Domain
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import NIOHTTP1

/// The body of every failure: RFC 9457, with `code`, `requestId` and `errors` as extensions.
struct Problem: Sendable {
    let error: GatewayError
    let requestID: String?
    /// What the request had created before.
    let createdID: String?

    init(_ error: GatewayError, requestID: String?, createdID: String? = nil) {
        self.error = error
        self.requestID = requestID
        self.createdID = createdID
    }

    static let contentType = "application/problem+json"

    var title: String {
        let phrase = HTTPResponseStatus(statusCode: error.status).reasonPhrase
        return phrase.isEmpty ? "Error" : phrase
    }

    var bytes: [UInt8] {
        var writer = JSONWriter(capacity: 384)
        writer.beginObject()
        writer.field("type", string: "about:blank")
        writer.field("title", string: title)
        writer.field("status", int: error.status)
        writer.field("detail", string: error.detail)
        writer.field("code", string: error.code)
        writer.field("requestId", stringIfPresent: requestID)
        writer.field("createdId", stringIfPresent: createdID)
        if !error.violations.isEmpty {
            writer.key("errors")
            writer.beginArray()
            for violation in error.violations.prefix(100) {
                writer.beginObject()
                writer.field("pointer", string: violation.pointer)
                writer.field("message", string: violation.message)
                writer.endObject()
            }
            writer.endArray()
        }
        writer.endObject()
        return writer.bytes
    }

    func response() -> Response {
        var headers = Answer.commonHeaders
        headers[.contentType] = Self.contentType
        if let seconds = error.retryAfterSeconds { headers[.retryAfter] = String(seconds) }
        if error.status == 401 { headers[.wwwAuthenticate] = "Bearer realm=\"hsafa-gateway\"" }
        return Response(
            status: HTTPResponse.Status(code: error.status), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
