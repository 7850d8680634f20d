import Domain
import HTTPTypes
import NIOCore
import NIOHTTP1

/// Keeps one HTTP/1.1 connection within its bounds: time for heads, bodies and silence, sizes, slow readers, shutdown. Answers what
/// never becomes a request, decides which request becomes a device's socket, and ends connections so that answers arrive.
///
/// Stands between NIO's decoder and its upgrade handler. From a valid upgrade on it passes everything through, for what follows may be
/// bytes of the other protocol.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let edge: ConnectionEdge
    private var state: ConnectionState
    private var context: ChannelHandlerContext?
    /// Of NIO's encoder; looked up once.
    private var encoder: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private var stallTimer: Scheduled<Void>?
    private var shutdownTimer: Scheduled<Void>?
    /// The answer under way has no end of its own.
    private var isStreaming = false

    init(_ edge: ConnectionEdge) {
        self.edge = edge
        state = ConnectionState(now: .now(), times: edge.times)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        arm()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        stallTimer?.cancel()
        shutdownTimer?.cancel()
        self.context = nil
        encoder = nil
    }

    // MARK: Time

    /// From `FirstByteWatch`, before the decoder sees the bytes.
    func bytesArrived() { if state.phase == .waiting { state.bytesArrived(.now()) } }
    /// From `FirstByteWatch`, after everything in them was acted on.
    func readCompleted() { arm() }

    /// One timer a connection, set again only when it would come too late: requests that are quick cost none.
    private func arm() {
        guard let deadline = state.deadline, let context, timer == nil || timerDeadline > deadline else { return }
        timer?.cancel()
        timerDeadline = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        timer = nil
        guard let deadline = state.deadline, let context else { return }
        guard deadline <= .now() else { return arm() }
        switch state.overdue() {
        case .close: context.close(promise: nil)
        case .answerTimeout(let isReadingBody):
            // A request whose body does not come has a handler, and so a line of its own. It is told first: nobody may be there any more
            // when the answer is out.
            if isReadingBody {
                context.fireErrorCaught(ConnectionAnswered(status: 408))
            } else {
                edge.refusals.note(.timeout, context.channel.remoteAddress, status: 408)
            }
            end(context, with: Refusal.timeout(isReadingBody: isReadingBody, edge.times))
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stallTimer?.cancel()
        stallTimer = nil
        if !context.channel.isWritable {
            stallTimer = context.eventLoop.assumeIsolated().scheduleTask(in: edge.times.stall) { [weak self, edge] in
                guard let context = self?.context else { return }
                edge.refusals.note(.stalled, context.channel.remoteAddress)
                context.close(promise: nil)
            }
        }
        context.fireChannelWritabilityChanged()
    }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state.phase {
        case .upgraded: context.fireChannelRead(data)
        case .lingering: break
        default:
            switch unwrapInboundIn(data) {
            case .head(let head): read(head, context)
            case .body: context.fireChannelRead(data)
            case .end:
                state.requestRead()
                context.fireChannelRead(data)
            }
        }
    }

    private func read(_ original: HTTPRequestHead, _ context: ChannelHandlerContext) {
        var head = original
        state.headRead(.now(), isKeptAlive: head.isKeepAlive)
        guard head.uri.utf8.count <= Limits.maxURIBytes else {
            edge.refusals.note(.uriTooLong, context.channel.remoteAddress, status: 414)
            return end(context, with: Refusal.targetTooLong)
        }
        if head.headers.contains(name: "upgrade") {
            if state.requestsSeen == 1, DeviceHandshake.isValid(head) {
                state.upgrade()
            } else {
                // NIO would swallow a request whose upgrade it refuses; without the header it is an ordinary request.
                head.headers.remove(name: "upgrade")
            }
        }
        if state.phase != .upgraded, Self.expectsContinue(head) {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    /// RFC 9110 §10.1.1; a body that is too large is not asked for.
    private static func expectsContinue(_ head: HTTPRequestHead) -> Bool {
        guard head.version == .http1_1, let length = head.headers.first(name: "expect"), length.lowercased() == "100-continue" else {
            return false
        }
        return head.headers.first(name: "content-length").flatMap { Int($0) }.map { $0 <= Limits.maxBodyBytes } ?? true
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Nobody above reads a connection that lingers.
        if state.phase == .lingering { context.read() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, state.phase != .upgraded, state.phase != .lingering else {
            return context.fireErrorCaught(error)
        }
        let isReadingRequest = state.isReadingRequest
        // Ends the handler that waits for the rest of its body.
        if isReadingRequest { context.fireErrorCaught(ConnectionAnswered(status: Refusal.malformed(error).status)) }
        if state.openRequests == 0 || (isReadingRequest && state.openRequests == 1 && !state.hasBegunAnswer) {
            let refusal = Refusal.malformed(error)
            if !isReadingRequest {
                let kind: RefusalLog.Kind = refusal.status == 431 ? .headersTooLarge : .malformed
                edge.refusals.note(kind, context.channel.remoteAddress, status: refusal.status)
            }
            end(context, with: refusal)
        } else {
            // What was asked before is still answered.
            state.endsWhenAnswered = true
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent: quiesce(context)
        // A watcher that left is noticed at once, not when the next event cannot be written.
        case ChannelEvent.inputClosed where state.phase == .lingering || isStreaming: context.close(promise: nil)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Graceful shutdown: what is being answered may end, in bounds; what waits is closed. Streams are told by their task's
    /// graceful shutdown handler.
    private func quiesce(_ context: ChannelHandlerContext) {
        guard state.phase != .upgraded, state.phase != .lingering else { return }
        guard state.openRequests > 0 else { return context.close(promise: nil) }
        state.endsWhenAnswered = true
        shutdownTimer = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(Int64(Limits.shutdownGraceSeconds))) { [weak self] in
            self?.context?.close(promise: nil)
        }
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch state.phase {
        case .upgraded: context.write(data, promise: promise)
        case .lingering: promise?.fail(ChannelError.ioOnClosedChannel)
        default:
            switch unwrapOutboundIn(data) {
            case .head(var head):
                if head.status.code / 100 != 1 { begin(&head) }
                context.write(wrapOutboundOut(.head(head)), promise: promise)
            case .body: context.write(data, promise: promise)
            case .end:
                context.write(data, promise: promise)
                if state.answerEnded(.now()) { linger(context) } else { arm() }
            }
        }
    }

    /// A whole answer, past the handlers that would take it part by part: NIO's encoder keeps nothing from one answer to the next.
    /// - Throws: `ChannelError.ioOnClosedChannel`
    func answer(_ head: HTTPResponse, _ body: ByteBuffer?) throws {
        guard let context, context.channel.isActive, state.phase != .lingering, state.phase != .upgraded else {
            throw ChannelError.ioOnClosedChannel
        }
        let encoder = try encoder ?? context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
        self.encoder = encoder
        state.answerBegan()
        if head.headerFields[.connection] == "close" { state.endsWithThisAnswer = true }
        var bytes = context.channel.allocator.buffer(capacity: 640 + (body?.readableBytes ?? 0))
        AnswerHead.write(head, edge.security, date: edge.date, isLast: state.isLastAnswer, into: &bytes)
        if let body { bytes.writeImmutableBuffer(body) }
        encoder.writeAndFlush(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
        if state.answerEnded(.now()) { linger(context) } else { arm() }
    }

    private func begin(_ head: inout HTTPResponseHead) {
        state.answerBegan()
        edge.security.add(to: &head.headers)
        head.headers.add(name: "date", value: edge.date.text)
        if head.headers.first(name: "connection") == "close" {
            state.endsWithThisAnswer = true
            isStreaming = head.headers.first(name: "content-type")?.hasPrefix("text/event-stream") ?? false
        }
        guard state.isLastAnswer else { return }
        head.headers.replaceOrAdd(name: "connection", value: "close")
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .output, state.phase != .upgraded else { return context.close(mode: mode, promise: promise) }
        if state.phase != .lingering { linger(context) }
        promise?.succeed()
    }

    /// What NIO's parser took and HTTP's types do not.
    func refuseHead() {
        guard let context else { return }
        edge.refusals.note(.malformed, context.channel.remoteAddress, status: 400)
        end(context, with: Refusal.malformed(.invalidMethod))
    }

    /// Answers by itself, where there is no handler that could.
    private func end(_ context: ChannelHandlerContext, with error: GatewayError) {
        if !state.hasBegunAnswer {
            for part in Refusal.parts(error, edge.security, allocator: context.channel.allocator) {
                context.write(wrapOutboundOut(part), promise: nil)
            }
        }
        linger(context)
    }

    /// Closes our side and throws away what still comes for a moment: closing with unread bytes would reset the connection, and the
    /// client might never see the answer.
    private func linger(_ context: ChannelHandlerContext) {
        state.linger(.now())
        context.flush()
        context.close(mode: .output, promise: nil)
        arm()
        context.read()
    }
}
