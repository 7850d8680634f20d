import Domain
import NIOCore
import Runtime

/// What goes out on a device's socket.
enum WebSocketMessage: Sendable {
    case text([UInt8])
}

/// Asks the codec to begin the closing handshake; the connection ends when the peer has answered, or shortly after.
struct WebSocketCloseRequest: Sendable {
    let code: UInt16
    let reason: String
}

/// Changes the bound on a message.
struct WebSocketMessageBound: Sendable {
    let maxBytes: Int
    /// Of one that has more.
    let maxSkimmedBytes: Int
}

/// Bytes ⇄ text messages, with everything of RFC 6455 that is not a message: masking, fragments, pings, closing.
final class WebSocketCodec: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = DeviceInput
    typealias OutboundIn = WebSocketMessage
    typealias OutboundOut = ByteBuffer

    private enum State {
        case open
        /// Our close is out: what comes in is thrown away, but for the peer's close.
        case closing
    }

    private var parser = WebSocketParser(maxMessageBytes: Limits.maxFrameBytesBeforeRegistration)
    private var pending: ByteBuffer?
    private var state = State.open
    private var closeTimer: Scheduled<Void>?
    private var stallTimer: Scheduled<Void>?

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if var rest = pending.take(), rest.readableBytes > 0 {
            rest.writeBuffer(&bytes)
            bytes = rest
        }
        do throws(WebSocketFault) {
            while let event = try parser.next(&bytes) { act(on: event, context) }
            if bytes.readableBytes > 0 { pending = bytes }
        } catch {
            guard state == .open else { return }
            close(context, code: error.code, reason: error.reason)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Nobody above asks for more any longer, but the peer's close is still to come.
        if state == .closing { context.read() }
    }

    private func act(on event: WebSocketParser.Event, _ context: ChannelHandlerContext) {
        switch (state, event) {
        case (.open, .text(let message)): context.fireChannelRead(wrapInboundOut(.text(message)))
        case (.open, .oversized(let outline)): context.fireChannelRead(wrapInboundOut(.oversized(outline)))
        case (.open, .ping(let payload)):
            // A peer that pings without reading gets no pile of pongs.
            if context.channel.isWritable { context.writeAndFlush(frame(0xA, payload, context), promise: nil) }
        case (.open, .close(let code)):
            close(context, code: code ?? 1000, reason: "")
            finish(context)
        case (.closing, .close): finish(context)
        case (.open, .pong), (.closing, _): break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent: close(context, code: DeviceCloseCode.goingAway, reason: "the gateway is shutting down")
        case ChannelEvent.inputClosed: finish(context)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        closeTimer?.cancel()
        stallTimer?.cancel()
        context.fireChannelInactive()
    }

    /// A peer that takes nothing for a while is gone, whatever it sends.
    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stallTimer?.cancel()
        stallTimer = context.channel.isWritable ? nil : schedule(context, seconds: Limits.watcherStallSeconds)
        context.fireChannelWritabilityChanged()
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state == .open else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .text(let bytes): context.write(frame(0x1, bytes, context), promise: promise)
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event {
        case let request as WebSocketCloseRequest:
            close(context, code: request.code, reason: request.reason)
            promise?.succeed()
        case let bound as WebSocketMessageBound:
            parser.maxMessageBytes = bound.maxBytes
            parser.maxSkimmedBytes = bound.maxSkimmedBytes
            promise?.succeed()
        default: context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    /// Sends our close, once, and gives the peer a moment to answer.
    private func close(_ context: ChannelHandlerContext, code: UInt16, reason: String) {
        guard state == .open else { return }
        state = .closing
        pending = nil
        var payload: [UInt8] = [UInt8(code >> 8), UInt8(truncatingIfNeeded: code)]
        var text = reason
        while text.utf8.count > 123 { text.removeLast() }
        payload.append(contentsOf: text.utf8)
        context.writeAndFlush(frame(0x8, payload, context), promise: nil)
        closeTimer = schedule(context, seconds: Limits.socketCloseSeconds)
        context.read()
    }

    /// Both closes are through; what is still to be written goes out first.
    private func finish(_ context: ChannelHandlerContext) {
        closeTimer?.cancel()
        context.close(promise: nil)
    }

    private func schedule(_ context: ChannelHandlerContext, seconds: Int) -> Scheduled<Void> {
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { context.value.close(promise: nil) }
    }

    /// A server's frames are whole and not masked.
    private func frame(_ opcode: UInt8, _ payload: [UInt8], _ context: ChannelHandlerContext) -> NIOAny {
        var buffer = context.channel.allocator.buffer(capacity: payload.count + 10)
        buffer.writeInteger(0x80 | opcode)
        switch payload.count {
        case ...125: buffer.writeInteger(UInt8(payload.count))
        case ...0xFFFF:
            buffer.writeInteger(126 as UInt8)
            buffer.writeInteger(UInt16(payload.count))
        default:
            buffer.writeInteger(127 as UInt8)
            buffer.writeInteger(UInt64(payload.count))
        }
        buffer.writeBytes(payload)
        return wrapOutboundOut(buffer)
    }
}
