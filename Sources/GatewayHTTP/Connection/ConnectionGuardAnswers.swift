import Domain
import HTTPTypes
import NIOCore
import NIOHTTP1

/// The way out: whole answers, answers in parts, and the end.
extension ConnectionGuard {
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
    /// A large body is written as it is: many connections may share it.
    ///
    /// - Throws: `ChannelError.ioOnClosedChannel`
    func answer(_ head: HTTPResponse, _ body: ByteBuffer?) throws {
        guard let context, context.channel.isActive, state.phase != .lingering, state.phase != .upgraded else {
            throw ChannelError.ioOnClosedChannel
        }
        guard let encoder = encoderContext(context) else { throw ChannelError.ioOnClosedChannel }
        state.answerBegan()
        if head.headerFields[.connection] == "close" { state.endsWithThisAnswer = true }
        let body = AnswerHead.hasNoBody(head.status) ? nil : body
        let copied = body.flatMap { $0.readableBytes <= Self.mostCopied ? $0 : nil }
        var bytes = context.channel.allocator.buffer(capacity: 640 + (copied?.readableBytes ?? 0))
        AnswerHead.write(
            head, length: body?.readableBytes ?? 0, edge.security, date: edge.date, isLast: state.isLastAnswer, into: &bytes)
        if let copied { bytes.writeImmutableBuffer(copied) }
        encoder.write(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
        if let body, copied == nil { encoder.write(NIOAny(IOData.byteBuffer(body)), promise: nil) }
        encoder.flush()
        if state.answerEnded(.now()) { linger(context) } else { arm() }
    }

    /// A copy of so many bytes costs less than a buffer of its own.
    private static let mostCopied = 16 * 1024

    private func encoderContext(_ context: ChannelHandlerContext) -> ChannelHandlerContext? {
        if encoder == nil { encoder = try? context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self) }
        return encoder
    }

    /// When everything written so far has been taken by the system, or the connection has failed.
    func whenWritten(_ then: @escaping (ChannelHandlerContext) -> Void) {
        guard let context else { return }
        guard let encoder = encoderContext(context) else { return then(context) }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [weak self] _ in if let context = self?.context { then(context) } }
        encoder.writeAndFlush(NIOAny(IOData.byteBuffer(ByteBuffer())), promise: written)
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

    /// Answers by itself, where there is no handler that could.
    func end(_ context: ChannelHandlerContext, with error: GatewayError) {
        if !state.hasBegunAnswer {
            for part in Refusal.parts(error, edge.security, allocator: context.channel.allocator) {
                context.write(wrapOutboundOut(part), promise: nil)
            }
        }
        linger(context)
    }

    /// Closes our side when all is written, and throws away what still comes for a moment: closing with unread bytes would reset the
    /// connection, and the client might never see the answer.
    private func linger(_ context: ChannelHandlerContext) {
        state.linger(until: .now() + edge.times.stall)
        arm()
        whenWritten { [weak self] context in
            guard let self else { return }
            state.linger(until: .now() + edge.times.linger)
            context.close(mode: .output, promise: nil)
            arm()
            context.read()
        }
    }

    var isLingering: Bool { state.phase == .lingering }
}
