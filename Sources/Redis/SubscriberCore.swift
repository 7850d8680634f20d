import Logging
import NIOCore
import Synchronization

/// The subscriber's part that lives on the connection.
// @unchecked: all `var`s are touched on the supervisor's event loop alone; `inbox` has its lock.
final class SubscriberCore: ConnectionOwner, @unchecked Sendable {
    enum Change: Sendable {
        case add(Listener)
        case remove(Listener)
    }

    /// Channels of one SUBSCRIBE: a bound on what one command costs the server at a time.
    private static let channelsPerCommand = 500

    private struct Inbox {
        var changes: [Change] = []
        var isScheduled = false
    }

    private let inbox = Mutex(Inbox())
    private let supervisor: Supervisor
    private let logger: Logger
    private let keepAlive: TimeAmount

    private var table = SubscriptionTable()
    private var channel: (any Channel)?
    private var keepAliveTask: RepeatedTask?
    /// Since the latest PING.
    private var heard = false

    init(_ configuration: RedisConfiguration, supervisor: Supervisor, logger: Logger) {
        self.supervisor = supervisor
        self.logger = logger
        keepAlive = .milliseconds(Int64(max(1, configuration.keepAliveMilliseconds)))
    }

    /// From any thread; what comes until the next tick goes out together.
    func enqueue(_ change: Change) {
        let isFirst = inbox.withLock { inbox in
            inbox.changes.append(change)
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        if isFirst { supervisor.eventLoop.execute { self.applyChanges() } }
    }

    private func applyChanges() {
        let changes = inbox.withLock { inbox in
            defer { inbox = Inbox() }
            return inbox.changes
        }
        for change in changes {
            switch change {
            case .add(let listener): if table.add(listener) { listener.tell(.subscribed) }
            case .remove(let listener): table.remove(listener)
            }
        }
        writeChanges()
    }

    private func writeChanges() {
        guard let channel else { return }
        let (subscribe, unsubscribe) = table.takeChanges()
        guard !subscribe.isEmpty || !unsubscribe.isEmpty else { return }
        var bytes = channel.allocator.buffer(capacity: 1024)
        Self.write("UNSUBSCRIBE", unsubscribe, into: &bytes)
        Self.write("SUBSCRIBE", subscribe, into: &bytes)
        channel.writeAndFlush(bytes, promise: nil)
    }

    private static func write(_ name: StaticString, _ channels: [ChannelName], into bytes: inout ByteBuffer) {
        for start in stride(from: 0, to: channels.count, by: channelsPerCommand) {
            var command = RedisCommand(name)
            for channel in channels[start..<min(start + channelsPerCommand, channels.count)] { command.append(channel.text) }
            command.write(into: &bytes)
        }
    }

    func connected(_ channel: any Channel) {
        self.channel = channel
        heard = true
        table.connected()
        writeChanges()
        keepAliveTask = channel.eventLoop.scheduleRepeatedTask(initialDelay: keepAlive, delay: keepAlive) { _ in self.checkAlive() }
    }

    private func checkAlive() {
        guard let channel else { return }
        guard heard else { return supervisor.drop(RedisError(code: .connection, message: "the server does not answer")) }
        heard = false
        var bytes = channel.allocator.buffer(capacity: 32)
        RedisCommand("PING").write(into: &bytes)
        channel.writeAndFlush(bytes, promise: nil)
    }

    func received(_ replies: [RedisValue]) throws(RedisError) {
        heard = true
        for value in replies { try receive(value) }
    }

    private func receive(_ value: RedisValue) throws(RedisError) {
        switch value {
        case .array(let parts): try push(parts)
        // PING is answered so while no channel is subscribed.
        case .status("PONG"): break
        case .error(let message): throw RedisError(code: .server, message: message)
        default: throw RedisError(code: .protocolViolation, message: "a reply that is no push")
        }
    }

    private func push(_ parts: [RedisValue]) throws(RedisError) {
        guard let kind = parts.first?.bytes?.readableBytesView else {
            throw RedisError(code: .protocolViolation, message: "a push without a kind")
        }
        if kind.elementsEqual("message".utf8), parts.count == 3, let name = parts[1].string.map(ChannelName.init),
            case .bulk(let payload) = parts[2]
        {
            for listener in table.listeners(of: name) { listener.tell(.message(payload)) }
        } else if kind.elementsEqual("subscribe".utf8), parts.count == 3, let name = parts[1].string.map(ChannelName.init) {
            for listener in try table.confirmed(name, isSubscribe: true) { listener.tell(.subscribed) }
        } else if kind.elementsEqual("unsubscribe".utf8), parts.count == 3, let name = parts[1].string.map(ChannelName.init) {
            _ = try table.confirmed(name, isSubscribe: false)
        } else if !kind.elementsEqual("pong".utf8) {
            throw RedisError(code: .protocolViolation, message: "a push of an unknown kind")
        }
    }

    func disconnected(_ error: RedisError) {
        keepAliveTask?.cancel()
        keepAliveTask = nil
        channel = nil
        for listener in table.disconnected() { listener.tell(.disconnected) }
    }
}
