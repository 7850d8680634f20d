import Domain
import NIOCore
import NIOHTTP1

/// The connection has answered a request whose body did not come, and ends; ends the handler that waits for the body.
struct ConnectionAnswered: Error {
    let status: Int

    /// Nobody is there to answer; nginx's number for it, in logs alone.
    static let clientGone = ConnectionAnswered(status: 499)
}

/// What a connection is told that brings no request to a handler.
enum Refusal {
    static let targetTooLong = GatewayError(
        status: 414, code: "uri_too_long", detail: "The request's target is longer than \(Limits.maxURIBytes) bytes.")

    static func timeout(isReadingBody: Bool, _ times: ConnectionTimes) -> GatewayError {
        let seconds = (isReadingBody ? times.body : times.head).nanoseconds / 1_000_000_000
        return GatewayError(
            status: 408, code: "request_timeout",
            detail: "The request's \(isReadingBody ? "body" : "head") did not come within \(seconds) s; send it again.")
    }

    static func malformed(_ error: HTTPParserError) -> GatewayError {
        guard error == .headerOverflow else {
            return GatewayError(status: 400, code: "malformed_request", detail: "This is not HTTP/1.1 (RFC 9112): \(error).")
        }
        let detail =
            "The request's header fields are more than \(Limits.maxHeaderFields), or larger than \(Limits.maxHeaderBytes) bytes."
        return GatewayError(status: 431, code: "headers_too_large", detail: detail)
    }

    /// The whole answer; the connection ends after it.
    static func parts(
        _ error: GatewayError, _ security: SecurityHeaders, allocator: ByteBufferAllocator
    ) -> [HTTPServerResponsePart] {
        let body = Problem(error, requestID: nil).bytes
        var headers: HTTPHeaders = [
            "content-type": Problem.contentType, "content-length": String(body.count), "connection": "close",
            "cache-control": "no-store",
        ]
        security.add(to: &headers)
        return [
            .head(HTTPResponseHead(version: .http1_1, status: .init(statusCode: error.status), headers: headers)),
            .body(.byteBuffer(allocator.buffer(bytes: body))), .end(nil),
        ]
    }
}
