import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A real HTTP/1.1 server on loopback that answers as a closure says: a system that tools reach out to.
public final class ToolServer: Sendable {
    public struct Received: Sendable {
        public let method: String
        /// Path and query, as they came.
        public let uri: String
        public let headers: [(name: String, value: String)]
        public let body: [UInt8]

        public func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
        public var text: String { String(decoding: body, as: UTF8.self) }
    }

    public struct Reply: Sendable {
        public var status: Int
        public var headers: [(String, String)]
        public var body: [UInt8]
        /// Nothing is answered, and the connection stays.
        public var isMute = false
        /// The connection ends after half of the body.
        public var isCut = false
        /// The body comes a byte every 20 ms, and never ends.
        public var isDripping = false

        public init(_ status: Int = 200, _ body: String = "", headers: [(String, String)] = [], type: String? = "text/plain") {
            self.status = status
            self.headers = headers + (type.map { [("content-type", $0)] } ?? [])
            self.body = Array(body.utf8)
        }

        public static func json(_ body: String, status: Int = 200) -> Reply { Reply(status, body, type: "application/json") }
        public static func redirect(_ status: Int, _ location: String) -> Reply { Reply(status, headers: [("location", location)]) }
        public static var mute: Reply {
            var reply = Reply()
            reply.isMute = true
            return reply
        }
        public static var dripping: Reply {
            var reply = Reply()
            reply.isDripping = true
            return reply
        }
    }

    public typealias Answer = @Sendable (Received) async -> Reply

    private struct State {
        var received: [Received] = []
        var connections = 0
    }

    private let state = Mutex(State())
    private let channel: any Channel

    public var received: [Received] { state.withLock { $0.received } }
    public var connections: Int { state.withLock { $0.connections } }
    public var port: Int { channel.localAddress?.port ?? 0 }

    public init(host: String = "127.0.0.1", port: Int = 0, tls: TestCertificates? = nil, _ answer: @escaping Answer) async throws {
        let context = try tls.map { certificates in
            try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.certificate).map { .certificate($0) },
                    privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.key, format: .pem))))
        }
        let state = StateBox()
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                state.server?.state.withLock { $0.connections += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    if let context { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context)) }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(state, answer))
                }
            }
            .bind(host: host, port: port).get()
        state.server = self
    }

    public func close() async { try? await channel.close() }

    fileprivate func note(_ request: Received) { state.withLock { $0.received.append(request) } }

    /// The server, once it is whole; it lives longer than its connections.
    private final class StateBox: Sendable {
        private let box = Mutex<ToolServer?>(nil)
        var server: ToolServer? {
            get { box.withLock { $0 } }
            set { box.withLock { $0 = newValue } }
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let box: StateBox
        private let answer: Answer
        private var head: HTTPRequestHead?
        private var body: [UInt8] = []

        init(_ box: StateBox, _ answer: @escaping Answer) {
            self.box = box
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body = []
            case .body(let buffer): body += buffer.readableBytesView
            case .end:
                guard let head else { return }
                let request = Received(
                    method: head.method.rawValue, uri: head.uri, headers: head.headers.map { ($0.name, $0.value) }, body: body)
                box.server?.note(request)
                let loop = context.eventLoop
                let reply = loop.makeFutureWithTask { [answer] in await answer(request) }
                let bound = NIOLoopBound(context, eventLoop: loop)
                reply.whenSuccess { Self.send($0, bound.value) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private static func send(_ reply: Reply, _ context: ChannelHandlerContext) {
            guard !reply.isMute else { return }
            if reply.isDripping { return drip(reply, context) }
            var headers = HTTPHeaders(reply.headers)
            headers.replaceOrAdd(name: "content-length", value: String(reply.body.count))
            let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: reply.status), headers: headers)
            context.write(NIOAny(HTTPServerResponsePart.head(head)), promise: nil)
            let body = reply.isCut ? Array(reply.body.prefix(reply.body.count / 2)) : reply.body
            context.writeAndFlush(NIOAny(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
            if reply.isCut {
                context.close(promise: nil)
            } else {
                context.writeAndFlush(NIOAny(HTTPServerResponsePart.end(nil)), promise: nil)
            }
        }

        private static func drip(_ reply: Reply, _ context: ChannelHandlerContext) {
            let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: reply.status), headers: HTTPHeaders(reply.headers))
            context.writeAndFlush(NIOAny(HTTPServerResponsePart.head(head)), promise: nil)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(20)) { task in
                let context = bound.value
                guard context.channel.isActive else { return task.cancel() }
                context.writeAndFlush(NIOAny(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: " ")))), promise: nil)
            }
        }
    }
}
