import Domain
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

    let edge: ConnectionEdge
    var state: ConnectionState
    private(set) var context: ChannelHandlerContext?
    /// Of NIO's encoder; looked up once.
    var encoder: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private var stallTimer: Scheduled<Void>?
    private var shutdownTimer: Scheduled<Void>?
    /// The answer under way has no end of its own.
    var isStreaming = false
    /// Nothing more is taken from this client: what it sends is thrown away, not kept. NIO's decoder parses nothing behind a request that asked
    /// for another protocol, and would keep all that comes.
    private var isDeaf = false
    /// Whether the request under way is the last that is taken.
    private var isLastRequest = false

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
    /// For `FirstByteWatch`: false when bytes are to be thrown away.
    var takesBytes: Bool { !isDeaf && state.phase != .lingering }
    /// From `FirstByteWatch`, after everything in them was acted on.
    func readCompleted() { arm() }

    /// One timer a connection, set again only when it would come too late: requests that are quick cost none.
    func arm() {
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
        case .answerTimeout where state.openRequests > 1:
            // Reading waits for the answer to a request before this one, which has bounds of its own.
            state.extend(.now())
            arm()
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
            guard !isDeaf else { return }
            switch unwrapInboundIn(data) {
            case .head(let head): read(head, context)
            case .body: context.fireChannelRead(data)
            case .end:
                state.requestRead()
                isDeaf = isLastRequest
                context.fireChannelRead(data)
            }
        }
    }

    private func read(_ original: HTTPRequestHead, _ context: ChannelHandlerContext) {
        var head = original
        guard state.openRequests < Limits.maxPipelinedRequests else { return hearNoMore() }
        guard head.uri.utf8.count <= Limits.maxURIBytes else {
            edge.refusals.note(.uriTooLong, context.channel.remoteAddress, status: 414)
            return refuse(context, with: Refusal.targetTooLong)
        }
        state.headRead(.now(), isKeptAlive: head.isKeepAlive)
        if head.headers.contains(name: "upgrade") {
            if state.requestsSeen == 1, DeviceHandshake.isValid(head) {
                state.upgrade()
            } else {
                // NIO would swallow a request whose upgrade it refuses; without the header it is an ordinary request.
                head.headers.remove(name: "upgrade")
                endWithThisRequest()
            }
        }
        if head.method == .CONNECT { endWithThisRequest() }
        // Inside of an earlier answer it would be taken for a part of it.
        if state.phase != .upgraded, state.openRequests == 1, Self.expectsContinue(head) {
            context.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))), promise: nil)
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private func endWithThisRequest() {
        isLastRequest = true
        state.endsWhenAnswered = true
    }

    /// What was asked before is still answered; what comes now is not looked at.
    private func hearNoMore() {
        isDeaf = true
        state.endsWhenAnswered = true
    }

    /// A request that reaches no handler. Behind one that is still to be answered nothing is said: it would be taken for that one's answer.
    private func refuse(_ context: ChannelHandlerContext, with error: GatewayError) {
        if state.openRequests > 0 { hearNoMore() } else { end(context, with: error) }
    }

    /// What NIO's parser took and HTTP's types do not; its head was counted.
    func refuseHead() {
        guard let context else { return }
        edge.refusals.note(.malformed, context.channel.remoteAddress, status: 400)
        state.forgetRequest()
        refuse(context, with: Refusal.malformed(.invalidMethod))
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
        guard let error = error as? HTTPParserError, state.phase != .upgraded else { return context.fireErrorCaught(error) }
        guard state.phase != .lingering, !isDeaf else { return }
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
        // Also of a client that does not take the last answer.
        shutdownTimer = context.eventLoop.assumeIsolated().scheduleTask(in: edge.times.shutdown) { [weak self] in
            self?.context?.close(promise: nil)
        }
        guard state.openRequests > 0 else { return whenWritten { $0.close(promise: nil) } }
        state.endsWhenAnswered = true
    }
}
