public import Logging
public import NIOCore

/// What a subscription's handler is told.
public enum RedisPush: Sendable, Equatable {
    /// The server confirmed: from now on no message is missed. Comes again after each reconnect.
    case subscribed
    case message(ByteBuffer)
    /// The connection is lost; messages are missed until the next `.subscribed`.
    case disconnected
}

/// Pub/sub on a connection of its own. All channels are subscribed again after a reconnect.
public final class RedisSubscriber: Sendable {
    private let core: SubscriberCore
    private let supervisor: Supervisor

    public init(_ configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger) {
        supervisor = Supervisor(configuration, eventLoop: eventLoopGroup.next(), logger: logger)
        core = SubscriberCore(configuration, supervisor: supervisor, logger: logger)
    }

    /// Connects, and again after each loss, until the task is cancelled or `shutDown` is called.
    public func run() async {
        await supervisor.run(owner: core)
    }

    public func shutDown() {
        supervisor.end()
    }

    /// Handlers of a channel are called in order of subscription, on the event loop: they must not block. One that joins a confirmed channel gets
    /// `.subscribed` at once. No call begins after `cancel` has returned.
    public func subscribe(_ channel: String, _ handler: @escaping @Sendable (RedisPush) -> Void) -> RedisSubscription {
        let listener = Listener(channel: channel, handler: handler)
        core.enqueue(.add(listener))
        return RedisSubscription(listener: listener, core: core)
    }
}

/// Ends by `cancel` or when it is released.
public final class RedisSubscription: Sendable {
    private let listener: Listener
    private let core: SubscriberCore

    init(listener: Listener, core: SubscriberCore) {
        self.listener = listener
        self.core = core
    }

    deinit { cancel() }

    /// The last of a channel also unsubscribes at the server.
    public func cancel() {
        guard listener.cancel() else { return }
        core.enqueue(.remove(listener))
    }
}
