import NIOCore
import NIOTLS

/// Stands right behind TLS until the handshake is over: gives it a time, and ends connections whose handshake fails, such as those that
/// speak plain HTTP.
final class HandshakeWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let time: TimeAmount
    private let refusals: RefusalLog
    private var timer: Scheduled<Void>?

    init(time: TimeAmount, refusals: RefusalLog) {
        self.time = time
        self.refusals = refusals
    }

    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { [refusals] in
            refusals.note(.handshakeTimeout, context.channel.remoteAddress)
            context.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        guard case .handshakeCompleted? = event as? TLSUserEvent else { return }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        refusals.note(.handshakeFailed, context.channel.remoteAddress, cause: "\(error)")
        context.close(promise: nil)
    }
}
