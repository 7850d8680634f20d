import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// What the server does with one request: each piece is a write of its own, then the ending.
struct RawReply: Sendable {
    enum Ending: Sendable {
        case complete
        /// Closes the connection in the middle of the body.
        case cut
        /// Says nothing more and keeps the connection.
        case silent
        /// The last piece again and again, for as long as anybody listens.
        case flood
    }

    var status = 200
    var headers: [(String, String)] = []
    var pieces: [String] = []
    var ending = Ending.complete
    /// Not even the head is sent.
    var isMute = false

    static func json(_ body: String, status: Int = 200, headers: [(String, String)] = []) -> RawReply {
        RawReply(status: status, headers: [("content-type", "application/json")] + headers, pieces: [body])
    }

    static func stream(_ pieces: [String], ending: Ending = .complete) -> RawReply {
        RawReply(headers: [("content-type", "text/event-stream")], pieces: pieces, ending: ending)
    }

    static func status(_ status: Int, _ body: String = "", headers: [(String, String)] = []) -> RawReply {
        RawReply(status: status, headers: headers, pieces: body.isEmpty ? [] : [body])
    }
}

struct RawRequest: Sendable {
    var method: String
    var uri: String
    var headers: HTTPHeaders
    var body: String
}

/// A real HTTP/1.1 server on loopback which answers by a function.
struct RawServer: Sendable {
    private let book: Book
    private let channel: any Channel

    fileprivate final class Book: Sendable {
        let received = Mutex<[RawRequest]>([])
        let open = Atomic<Int>(0)
        let answer: @Sendable (RawRequest) -> RawReply

        init(_ answer: @escaping @Sendable (RawRequest) -> RawReply) { self.answer = answer }
    }

    /// Apart from the client's loops: a server that floods must not keep clients of other servers from connecting.
    private static let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    static func with<Value: Sendable>(
        _ answer: @escaping @Sendable (RawRequest) -> RawReply, _ body: (RawServer) async throws -> Value
    ) async throws -> Value {
        let book = Book(answer)
        let channel = try await ServerBootstrap(group: loops)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                book.open.add(1, ordering: .relaxed)
                channel.closeFuture.whenComplete { _ in book.open.subtract(1, ordering: .relaxed) }
                return channel.pipeline.configureHTTPServerPipeline(withErrorHandling: false).flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(Handler(book))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let value = try await body(RawServer(book: book, channel: channel))
            try await channel.close()
            return value
        } catch {
            try? await channel.close()
            throw error
        }
    }

    var url: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/mcp" }
    var requests: [RawRequest] { book.received.withLock { $0 } }
    /// Connections that are open now.
    var connections: Int { book.open.load(ordering: .relaxed) }
}

private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let book: RawServer.Book
    private var head: HTTPRequestHead?
    private var body = ""

    init(_ book: RawServer.Book) { self.book = book }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ""
        case .body(let buffer): body += String(buffer: buffer)
        case .end:
            guard let head else { return }
            let request = RawRequest(method: head.method.rawValue, uri: head.uri, headers: head.headers, body: body)
            book.received.withLock { $0.append(request) }
            answer(book.answer(request), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ reply: RawReply, _ context: ChannelHandlerContext) {
        guard !reply.isMute else { return }
        var head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status), headers: HTTPHeaders(reply.headers))
        if reply.ending == .complete {
            head.headers.replaceOrAdd(name: "content-length", value: "\(reply.pieces.reduce(0) { $0 + $1.utf8.count })")
        }
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        write(reply.pieces[...], reply, context)
    }

    private func write(_ pieces: ArraySlice<String>, _ reply: RawReply, _ context: ChannelHandlerContext) {
        guard let piece = pieces.first ?? (reply.ending == .flood ? reply.pieces.last : nil) else {
            switch reply.ending {
            case .complete: context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .cut: context.close(promise: nil)
            case .silent, .flood: break
            }
            return
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: piece))))).whenSuccess {
            loop.execute {
                let (handler, context) = bound.value
                handler.write(pieces.dropFirst(), reply, context)
            }
        }
    }
}
