import Domain
import NIOCore
import NIOHTTP1

/// A request body that did not come in time; ends the handler that waits for it.
struct RequestBodyTimeout: Error {}

/// What a connection is told that brings no request to a handler.
enum Refusal {
    static let targetTooLong = GatewayError(
        status: 414, code: "uri_too_long", detail: "The request's target is longer than \(Limits.maxURIBytes) bytes.")

    static func timeout(isReadingBody: Bool) -> GatewayError {
        let seconds = isReadingBody ? Limits.requestBodySeconds : Limits.requestHeadSeconds
        return GatewayError(
            status: 408, code: "request_timeout",
            detail: "The request's \(isReadingBody ? "body" : "head") did not come within \(seconds) s; send it again.")
    }

    static func malformed(_ error: HTTPParserError) -> GatewayError {
        guard error == .headerOverflow else {
            return GatewayError(status: 400, code: "malformed_request", detail: "This is not HTTP/1.1 (RFC 9112): \(error).")
        }
        let detail = "The request's header fields are larger than \(Limits.maxHeaderBytes) bytes, or too many."
        return GatewayError(status: 431, code: "headers_too_large", detail: detail)
    }

    /// The whole answer; the connection ends after it.
    static func parts(_ error: GatewayError, allocator: ByteBufferAllocator) -> [HTTPServerResponsePart] {
        let body = Problem(error, requestID: nil).bytes
        let headers: HTTPHeaders = [
            "content-type": Problem.contentType, "content-length": String(body.count), "connection": "close",
            "cache-control": "no-store", "x-content-type-options": "nosniff",
        ]
        return [
            .head(HTTPResponseHead(version: .http1_1, status: .init(statusCode: error.status), headers: headers)),
            .body(.byteBuffer(allocator.buffer(bytes: body))), .end(nil),
        ]
    }
}
