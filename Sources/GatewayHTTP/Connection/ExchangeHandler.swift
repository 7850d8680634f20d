import Domain
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1

/// The last handler of a connection that speaks HTTP: makes requests of what is read, gives them one by one to the connection's task, and
/// writes its answers. It stands where `NIOAsyncChannel` could, which takes every part through two queues with locks of their own
/// (docs/decisions/0045).
///
/// A request that came whole with one read has its body with it; any other body is a sequence, and holds back reading when it is not taken.
/// Whoever left is noticed while a request is answered, because reading goes on.
///
/// Unchecked: its state is touched on the loop of its connection alone; what tasks call goes there first.
final class ExchangeHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = Never
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    let channel: any Channel
    let peer: IPAddress?
    private let connection: ConnectionGuard
    private let isSecure: Bool
    private var context: ChannelHandlerContext?

    /// A head, and what came of its body, whose read has not ended.
    private var arriving: (head: HTTPRequest, body: ByteBuffer?)?
    /// Of the request that was handed over before its end.
    private var body: IncomingBody.Source?
    private var isBodyFull = false
    /// What a client asked without awaiting the answer before: what one read brings, for more is not read; the guard counts them.
    private var ready = CircularBuffer<Request>(initialCapacity: 1)
    private var taker: UnsafeContinuation<Request?, Never>?
    private var writer: UnsafeContinuation<Void, any Error>?
    private var isReadHeldBack = false
    /// NIO's upgrade handler tells of the end of a read between the first head and what follows it in the same read.
    private var hasReplayed = false
    /// Nothing more is read.
    private var isOver = false
    /// By an error of the connection; there is nobody to say goodbye to.
    private var isBroken = false

    init(channel: any Channel, connection: ConnectionGuard, isSecure: Bool) {
        self.channel = channel
        peer = channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
        self.connection = connection
        self.isSecure = isSecure
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            do { arriving = (try Self.request(head, isSecure), nil) } catch { connection.refuseHead() }
        case .body(var bytes):
            if arriving != nil {
                if arriving?.body == nil { arriving?.body = bytes } else { arriving?.body?.writeBuffer(&bytes) }
            } else if let body, case .stopProducing = body.yield(bytes) {
                isBodyFull = true
            }
        case .end:
            if let (head, bytes) = arriving {
                arriving = nil
                hand(Request(head: head, body: RequestBody(buffer: bytes ?? ByteBuffer())))
            } else {
                endBody(nil)
            }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if hasReplayed { handUnfinished() }
        hasReplayed = true
        context.fireChannelReadComplete()
    }

    /// The rest of its body comes with later reads.
    private func handUnfinished() {
        guard let (head, bytes) = arriving else { return }
        arriving = nil
        let (sequence, source) = IncomingBody.make { [weak self] in
            guard let self else { return }
            channel.eventLoop.execute { self.bodyTaken() }
        }
        body = source
        if let bytes { _ = source.yield(bytes) }
        hand(Request(head: head, body: sequence))
    }

    private func hand(_ request: Request) {
        guard let taker else { return ready.append(request) }
        self.taker = nil
        taker.resume(returning: request)
    }

    /// Foundation parses a target for the library's own conversion; all but an absolute form (RFC 9112 §3.2.2) needs no parsing.
    private static func request(_ head: HTTPRequestHead, _ isSecure: Bool) throws -> HTTPRequest {
        guard head.uri.utf8.first == UInt8(ascii: "/"), let method = HTTPRequest.Method(rawValue: head.method.rawValue) else {
            return try HTTPRequest(head, secure: isSecure, splitCookie: false)
        }
        return HTTPRequest(
            method: method, scheme: isSecure ? "https" : "http", authority: head.headers.first(name: "host"), path: head.uri,
            headerFields: HTTPFields(head.headers, splitCookie: false))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A head whose body went wrong in the same read has a handler too, and so a line in the log.
        handUnfinished()
        // Where the guard has answered, it ends the connection as well.
        isBroken = isBroken || !(error is ConnectionAnswered)
        end(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // What was asked is still done, though nobody hears the answer.
        handUnfinished()
        isBroken = true
        end(ConnectionAnswered.clientGone)
        wakeWriter(.failure(ChannelError.ioOnClosedChannel))
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            handUnfinished()
            // A body that is whole has had its end.
            end(ConnectionAnswered.clientGone)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func end(_ error: any Error) {
        isOver = true
        endBody(error)
        taker?.resume(returning: nil)
        taker = nil
    }

    // MARK: Reading is held back

    func read(context: ChannelHandlerContext) {
        if isBodyFull || !ready.isEmpty { isReadHeldBack = true } else { context.read() }
    }

    private func endBody(_ error: (any Error)?) {
        if let error { body?.finish(error) } else { body?.finish() }
        body = nil
        bodyTaken()
    }

    private func bodyTaken() {
        isBodyFull = false
        readOn()
    }

    private func readOn() {
        guard isReadHeldBack, !isBodyFull, ready.isEmpty else { return }
        isReadHeldBack = false
        context?.read()
    }

    // MARK: For the connection's task

    /// The next request; nil: none will come.
    func next() async -> Request? {
        await withUnsafeContinuation { continuation in
            if channel.eventLoop.inEventLoop { take(continuation) } else { channel.eventLoop.execute { self.take(continuation) } }
        }
    }

    private func take(_ continuation: UnsafeContinuation<Request?, Never>) {
        if let request = ready.popFirst() {
            continuation.resume(returning: request)
            readOn()
        } else if isOver {
            continuation.resume(returning: nil)
        } else {
            taker = continuation
        }
    }

    /// A whole answer at once. Waits, as the other does, while the client takes nothing, for as long as the guard lets it.
    func write(_ head: HTTPResponse, _ body: ByteBuffer?) async throws {
        let isWritable = try await onLoop { exchange in
            try exchange.connection.answer(head, body)
            // What ended the connection has no next answer that would have to wait.
            return exchange.isDone() || exchange.channel.isWritable
        }
        if !isWritable { try await untilWritable() }
    }

    /// Of an answer in parts.
    func write(_ parts: [HTTPServerResponsePart]) async throws {
        let isWritable = try await onLoop { exchange in
            guard let context = exchange.context else { throw ChannelError.ioOnClosedChannel }
            for part in parts { context.write(exchange.wrapOutboundOut(part), promise: nil) }
            context.flush()
            return exchange.isDone() || context.channel.isWritable
        }
        if !isWritable { try await untilWritable() }
    }

    /// Behind the last answer, which said so, nothing is carried out any more (RFC 9112 §9.6).
    private func isDone() -> Bool {
        guard connection.isLingering || !channel.isActive else { return false }
        isOver = true
        ready.removeAll()
        return true
    }

    /// No more requests: the server is stopping, or what was begun cannot be ended.
    func stop() { channel.eventLoop.execute { self.end(CancellationError()) } }

    /// Says goodbye; the guard lets the last answer arrive.
    ///
    /// - Parameter isWhole: false when the last answer was broken off.
    func finish(isWhole: Bool) async {
        try? await onLoop { exchange in
            if exchange.connection.isLingering { return }
            exchange.channel.close(mode: isWhole && !exchange.isBroken ? .output : .all, promise: nil)
        }
    }

    private func onLoop<Result: Sendable>(_ work: @escaping @Sendable (ExchangeHandler) throws -> Result) async throws -> Result {
        if channel.eventLoop.inEventLoop { return try work(self) }
        return try await channel.eventLoop.submit { try work(self) }.get()
    }

    private func untilWritable() async throws {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                if channel.eventLoop.inEventLoop {
                    waitForRoom(continuation)
                } else {
                    channel.eventLoop.execute { self.waitForRoom(continuation) }
                }
            }
        } onCancel: {
            channel.eventLoop.execute { self.wakeWriter(.failure(CancellationError())) }
        }
    }

    private func waitForRoom(_ continuation: UnsafeContinuation<Void, any Error>) {
        guard channel.isActive else { return continuation.resume(throwing: ChannelError.ioOnClosedChannel) }
        guard !channel.isWritable, writer == nil else { return continuation.resume() }
        writer = continuation
    }

    private func wakeWriter(_ result: Result<Void, any Error>) {
        writer?.resume(with: result)
        writer = nil
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { wakeWriter(.success(())) }
        context.fireChannelWritabilityChanged()
    }
}
