import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1

/// Takes what a handler writes. An answer whose length is known and whose body comes as one piece goes out at once; any other in parts.
final class AnswerWriter: ResponseBodyWriter {
    private let exchange: ExchangeHandler
    /// nil: on its way.
    private var head: HTTPResponse?
    private let length: Int?
    private var held: ByteBuffer?
    private(set) var isFinished = false

    init(_ exchange: ExchangeHandler, _ response: Response) {
        self.exchange = exchange
        head = response.head
        length = response.body.contentLength
    }

    func write(_ buffer: ByteBuffer) async throws {
        if head != nil, held == nil, length == buffer.readableBytes {
            held = buffer
        } else {
            try await exchange.write(parts() + [.body(.byteBuffer(buffer))])
        }
    }

    func finish(_ trailingHeaders: HTTPFields?) async throws {
        isFinished = true
        if let head, trailingHeaders == nil, length != nil {
            self.head = nil
            try await exchange.write(head, held)
        } else {
            try await exchange.write(parts() + [.end(trailingHeaders.map { HTTPHeaders($0) })])
        }
    }

    private func parts() -> [HTTPServerResponsePart] {
        var parts: [HTTPServerResponsePart] = []
        if let head { parts.append(.head(HTTPResponseHead(head))) }
        if let held { parts.append(.body(.byteBuffer(held))) }
        (head, held) = (nil, nil)
        return parts
    }
}
