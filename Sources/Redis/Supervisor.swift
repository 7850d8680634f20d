import Logging
import NIOCore

/// What lives on the supervised connection. Every call comes on its event loop.
protocol ConnectionOwner: AnyObject, Sendable {
    func connected(_ channel: any Channel)
    /// What one read brought, in order.
    func received(_ replies: [RedisValue]) throws(RedisError)
    /// An attempt failed, or the connection was lost, or the supervisor ended.
    func disconnected(_ error: RedisError)
}

/// Keeps one connection: connects, greets, and after a loss connects again, with back-off, until it is ended.
///
///     idle → connecting → up → resting → connecting …      any → ended
///
// @unchecked: `state` and what belongs to it is touched on `eventLoop` alone (asserted in each entry).
final class Supervisor: @unchecked Sendable {
    private enum State {
        case idle
        case connecting(attempt: Int, channel: (any Channel)?, deadline: Scheduled<Void>)
        case up(any Channel, ConnectionHandler, since: NIODeadline)
        case resting(Scheduled<Void>)
        case ended
    }

    /// A connection that lived this long counts as good: the next pause is the shortest again.
    private static let goodAfter = TimeAmount.seconds(2)

    let eventLoop: any EventLoop
    private let configuration: RedisConfiguration
    private let logger: Logger
    private var finished: EventLoopPromise<Void>?
    private var state = State.idle
    private var owner: (any ConnectionOwner)?
    private var pending: ConnectionHandler?
    private var backoff: Backoff
    private var attempts = 0

    init(_ configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        backoff = Backoff(
            minimumMilliseconds: configuration.reconnectMinimumMilliseconds,
            maximumMilliseconds: configuration.reconnectMaximumMilliseconds)
    }

    /// Returns once ended: by cancellation of the task or by `end`.
    func run(owner: any ConnectionOwner) async {
        let finished = eventLoop.makePromise(of: Void.self)
        await withTaskCancellationHandler {
            eventLoop.execute {
                guard case .idle = self.state else { return finished.succeed() }
                self.finished = finished
                self.owner = owner
                self.connect()
            }
            // A failure would only say how the last channel closed.
            try? await finished.futureResult.get()
        } onCancel: {
            end()
        }
    }

    func end() {
        eventLoop.execute { self.endNow() }
    }

    /// Gives the connection up with `error` as the cause; a new one follows.
    func drop(_ error: RedisError) {
        eventLoop.assertInEventLoop()
        guard case .up(let channel, let handler, _) = state else { return }
        handler.finish(error)
        channel.close(promise: nil)
    }

    private func connect() {
        attempts += 1
        let attempt = attempts
        let deadline = eventLoop.scheduleTask(in: .milliseconds(Int64(max(1, configuration.connectTimeoutMilliseconds)))) {
            self.failed(attempt, RedisError(code: .connection, message: "no connection within the time given"))
        }
        state = .connecting(attempt: attempt, channel: nil, deadline: deadline)
        Connector(configuration: configuration, eventLoop: eventLoop).open().whenComplete { result in
            switch result {
            case .success(let channel): self.opened(channel, attempt)
            case .failure(let error): self.failed(attempt, RedisError(code: .connection, message: String(describing: error)))
            }
        }
    }

    private func opened(_ channel: any Channel, _ attempt: Int) {
        guard case .connecting(attempt, _, let deadline) = state else {
            channel.close(promise: nil)
            return
        }
        state = .connecting(attempt: attempt, channel: channel, deadline: deadline)
        do throws(RedisError) {
            try prepare(channel, attempt)
        } catch {
            failed(attempt, error)
        }
    }

    private func prepare(_ channel: any Channel, _ attempt: Int) throws(RedisError) {
        let greeting = configuration.greeting
        guard let parser = ReplyParser(maxReplyBytes: configuration.maxReplyBytes, maxReplyElements: configuration.maxReplyElements)
        else { throw RedisError(code: .connection, message: "no memory for a reply reader") }
        // It holds the supervisor until the channel is closed, which every way out of `connecting` and `up` sees to.
        let handler = ConnectionHandler(
            parser: parser, greetings: greeting.count,
            onGreeted: { self.greeted(attempt) },
            onReplies: { replies throws(RedisError) in try self.owner?.received(replies) },
            onClosed: { error in self.closed(attempt, error) })
        let tls = try Connector(configuration: configuration, eventLoop: eventLoop).tlsHandler()
        pending = handler
        do {
            if let tls { try channel.pipeline.syncOperations.addHandler(tls) }
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            throw RedisError(code: .connection, message: String(describing: error))
        }
        var hello = channel.allocator.buffer(capacity: 256)
        for command in greeting { command.write(into: &hello) }
        channel.writeAndFlush(hello, promise: nil)
    }

    private func greeted(_ attempt: Int) {
        guard case .connecting(attempt, let channel?, let deadline) = state, let handler = pending else { return }
        deadline.cancel()
        pending = nil
        state = .up(channel, handler, since: .now())
        logger.info("redis connected", metadata: ["url": "\(configuration)"])
        owner?.connected(channel)
    }

    private func closed(_ attempt: Int, _ error: RedisError) {
        guard case .up(_, _, let since) = state, attempt == attempts else { return failed(attempt, error) }
        if NIODeadline.now() - since >= Self.goodAfter { backoff.reset() }
        rest(after: error, "redis connection lost")
    }

    private func failed(_ attempt: Int, _ error: RedisError) {
        guard case .connecting(attempt, let channel, let deadline) = state else { return }
        deadline.cancel()
        let handler = pending
        pending = nil
        rest(after: error, "redis cannot be reached")
        // What still arrives on this channel must not reach the owner.
        handler?.finish(error)
        channel?.close(promise: nil)
    }

    private func rest(after error: RedisError, _ what: Logger.Message) {
        let pause = backoff.nextMilliseconds()
        state = .resting(eventLoop.scheduleTask(in: .milliseconds(Int64(pause))) { self.connect() })
        logger.warning(what, metadata: ["url": "\(configuration)", "cause": "\(error)", "pause_ms": "\(pause)"])
        owner?.disconnected(error)
    }

    private func endNow() {
        let last = state
        state = .ended
        var closing: (any Channel)?
        switch last {
        case .ended: return
        case .idle: break
        case .connecting(_, let channel, let deadline):
            deadline.cancel()
            closing = channel
        case .up(let channel, _, _): closing = channel
        case .resting(let pause): pause.cancel()
        }
        pending = nil
        owner?.disconnected(RedisError(code: .shutDown, message: "the client is shut down"))
        owner = nil
        guard let closing else {
            finished?.succeed()
            return
        }
        closing.close(promise: nil)
        closing.closeFuture.cascade(to: finished)
    }
}
