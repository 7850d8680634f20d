import NIOCore

/// Bytes to replies at the end of a channel's pipeline. The first replies are those to the greeting; the rest go to the owner.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let parser: ReplyParser
    private let onGreeted: () -> Void
    private let onReplies: ([RedisValue]) throws(RedisError) -> Void
    private let onClosed: (RedisError) -> Void
    private var greetingsMissing: Int
    private var isClosed = false
    private var replies: [RedisValue] = []

    init(
        parser: ReplyParser, greetings: Int, onGreeted: @escaping () -> Void,
        onReplies: @escaping ([RedisValue]) throws(RedisError) -> Void,
        onClosed: @escaping (RedisError) -> Void
    ) {
        self.parser = parser
        greetingsMissing = greetings
        self.onGreeted = onGreeted
        self.onReplies = onReplies
        self.onClosed = onClosed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        // All replies of a read go on together: one call and one lock for a batch. Those before a fault still reach their callers.
        var fault: RedisError?
        do throws(RedisError) {
            try parser.feed(unwrapInboundIn(data), into: &replies)
        } catch {
            fault = error
        }
        do throws(RedisError) {
            try deliver()
        } catch {
            fault = error
        }
        if let fault { close(context, fault) }
    }

    private func deliver() throws(RedisError) {
        defer { replies.removeAll(keepingCapacity: replies.count <= 1024) }
        if greetingsMissing > 0 {
            let greetings = replies.prefix(greetingsMissing)
            replies.removeFirst(greetings.count)
            for value in greetings { try greeted(value) }
        }
        if !replies.isEmpty { try onReplies(replies) }
    }

    private func greeted(_ value: RedisValue) throws(RedisError) {
        // A user without the right to PING is let in all the same: the reply says that the server is there and has loaded.
        if case .error(let message) = value, !(greetingsMissing == 1 && message.hasPrefix("NOPERM")) {
            throw RedisError(code: .server, message: message)
        }
        greetingsMissing -= 1
        if greetingsMissing == 0 { onGreeted() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(context, RedisError(code: .connection, message: String(describing: error)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(RedisError(code: .connection, message: "the server closed the connection"))
    }

    private func close(_ context: ChannelHandlerContext, _ error: RedisError) {
        let channel = context.channel
        finish(error)
        channel.close(promise: nil)
    }

    /// Ends the handler with a cause of our own (timeout, shutdown) before the channel is closed.
    func finish(_ error: RedisError) {
        guard !isClosed else { return }
        isClosed = true
        onClosed(error)
    }
}
