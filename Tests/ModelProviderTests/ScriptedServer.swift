import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// What the server does with one request: each piece is a write of its own, then the ending.
struct ScriptedReply: Sendable {
    enum Ending: Sendable {
        case complete
        /// Closes the connection in the middle of the body.
        case cut
        /// Says nothing more and keeps the connection.
        case silent
    }

    var status: Int = 200
    var headers: [(String, String)] = [("content-type", "text/event-stream")]
    var pieces: [[UInt8]] = []
    var ending = Ending.complete
    /// Not even the head is sent.
    var isMute = false

    static func stream(_ text: String, ending: Ending = .complete) -> ScriptedReply {
        ScriptedReply(pieces: text.isEmpty ? [] : [Array(text.utf8)], ending: ending)
    }

    static func json(_ status: Int, _ body: String, headers: [(String, String)] = []) -> ScriptedReply {
        ScriptedReply(status: status, headers: [("content-type", "application/json")] + headers, pieces: [Array(body.utf8)])
    }
}

struct ReceivedRequest: Sendable {
    var method: String
    var uri: String
    var headers: HTTPHeaders
    var body: [UInt8]
    var arrival: ContinuousClock.Instant
}

/// A real HTTP/1.1 server on loopback. It answers the nth request with the nth reply, further ones with the last.
struct ScriptedServer: Sendable {
    private let book: ReplyBook
    private let channel: any Channel
    /// Yields each time a client's connection ends.
    let closed: AsyncStream<Void>

    private init(_ replies: [ScriptedReply]) async throws {
        let book = ReplyBook(replies)
        let (closed, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(16))
        self.book = book
        self.closed = closed
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.closeFuture.whenComplete { _ in continuation.yield() }
                return channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(ReplyHandler(book))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    static func with<Value: Sendable>(
        _ replies: [ScriptedReply], _ body: (ScriptedServer) async throws -> Value
    ) async throws -> Value {
        let server = try await ScriptedServer(replies)
        do {
            let value = try await body(server)
            try await server.close()
            return value
        } catch {
            try? await server.close()
            throw error
        }
    }

    /// Refuses connections from now on.
    func close() async throws {
        if channel.isActive { try await channel.close() }
    }

    var baseURL: String { "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/v1" }
    var requests: [ReceivedRequest] { book.requests }
}

private final class ReplyBook: Sendable {
    private let received = Mutex<[ReceivedRequest]>([])
    private let replies: [ScriptedReply]

    init(_ replies: [ScriptedReply]) { self.replies = replies }

    var requests: [ReceivedRequest] { received.withLock { $0 } }

    func reply(to request: ReceivedRequest) -> ScriptedReply {
        let index = received.withLock {
            $0.append(request)
            return $0.count - 1
        }
        return replies[min(index, replies.count - 1)]
    }
}

private final class ReplyHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let book: ReplyBook
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(_ book: ReplyBook) { self.book = book }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let buffer): body += buffer.readableBytesView
        case .end:
            guard let head else { return }
            answer(
                book.reply(
                    to: ReceivedRequest(
                        method: head.method.rawValue, uri: head.uri, headers: head.headers, body: body, arrival: .now)), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ reply: ScriptedReply, _ context: ChannelHandlerContext) {
        guard !reply.isMute else { return }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status), headers: HTTPHeaders(reply.headers))
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        write(reply.pieces[...], reply.ending, context)
    }

    /// One piece a turn of the loop, each after the one before it is with the kernel.
    private func write(_ pieces: ArraySlice<[UInt8]>, _ ending: ScriptedReply.Ending, _ context: ChannelHandlerContext) {
        guard let piece = pieces.first else {
            switch ending {
            case .complete: context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            case .cut: context.close(promise: nil)
            case .silent: break
            }
            return
        }
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: piece))))).whenSuccess {
            eventLoop.execute {
                let (handler, context) = loopBound.value
                handler.write(pieces.dropFirst(), ending, context)
            }
        }
    }
}
