import Synchronization

/// One handler of one channel.
final class Listener: Sendable {
    let channel: ChannelName
    let handler: @Sendable (RedisPush) -> Void
    private let isCanceled = Atomic(false)

    init(channel: String, handler: @escaping @Sendable (RedisPush) -> Void) {
        self.channel = ChannelName(text: channel)
        self.handler = handler
    }

    /// true the first time.
    func cancel() -> Bool { !isCanceled.exchange(true, ordering: .sequentiallyConsistent) }
    var isActive: Bool { !isCanceled.load(ordering: .acquiring) }

    func tell(_ push: RedisPush) {
        if isActive { handler(push) }
    }
}

/// A channel's name by its bytes, as the server sees it: Strings are equal in more ways (Unicode normalisation).
struct ChannelName: Hashable, Sendable {
    let text: String

    static func == (one: ChannelName, other: ChannelName) -> Bool { one.text.utf8.elementsEqual(other.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

/// Which channels are wanted, and what the server was told and has confirmed. A value: it decides, `SubscriberCore` writes and calls.
///
/// The server answers each channel of each command once and in order, so a channel is settled when nothing is unconfirmed; what it confirmed
/// last is then what it was told last.
struct SubscriptionTable {
    struct Channel {
        var listeners: [Listener] = []
        var isWanted = false
        var unconfirmed = 0
        var isConfirmed = false
    }

    private(set) var channels: [ChannelName: Channel] = [:]
    private(set) var isConnected = false

    /// Told to the server by the next flush, in order of first mention.
    private var changed: [ChannelName] = []
    private var isChanged: Set<ChannelName> = []

    /// true when the listener's channel is confirmed already.
    mutating func add(_ listener: Listener) -> Bool {
        guard listener.isActive else { return false }
        channels[listener.channel, default: Channel()].listeners.append(listener)
        note(listener.channel)
        return channels[listener.channel]?.isConfirmed ?? false
    }

    mutating func remove(_ listener: Listener) {
        guard let index = channels[listener.channel]?.listeners.firstIndex(where: { $0 === listener }) else { return }
        channels[listener.channel]?.listeners.remove(at: index)
        note(listener.channel)
        if !isConnected { forgetIfUnused(listener.channel) }
    }

    private mutating func note(_ channel: ChannelName) {
        if isConnected, isChanged.insert(channel).inserted { changed.append(channel) }
    }

    private mutating func forgetIfUnused(_ name: ChannelName) {
        if let channel = channels[name], channel.listeners.isEmpty, channel.unconfirmed == 0, !channel.isWanted {
            channels[name] = nil
        }
    }

    /// The channels to subscribe and to unsubscribe now.
    mutating func takeChanges() -> (subscribe: [ChannelName], unsubscribe: [ChannelName]) {
        var subscribe: [ChannelName] = []
        var unsubscribe: [ChannelName] = []
        for name in changed {
            guard var channel = channels[name] else { continue }
            let isWanted = !channel.listeners.isEmpty
            if isWanted != channel.isWanted {
                channel.isWanted = isWanted
                channel.isConfirmed = false
                channel.unconfirmed += 1
                channels[name] = channel
                if isWanted { subscribe.append(name) } else { unsubscribe.append(name) }
            } else {
                forgetIfUnused(name)
            }
        }
        changed = []
        isChanged = []
        return (subscribe, unsubscribe)
    }

    /// Whom to tell that the channel is subscribed. `isSubscribe` says which command the server confirms.
    mutating func confirmed(_ name: ChannelName, isSubscribe: Bool) throws(RedisError) -> [Listener] {
        guard var channel = channels[name], channel.unconfirmed > 0 else {
            throw RedisError(code: .protocolViolation, message: "a subscription confirmed that was not asked for")
        }
        channel.unconfirmed -= 1
        guard channel.unconfirmed > 0 || channel.isWanted == isSubscribe else {
            throw RedisError(code: .protocolViolation, message: "the server confirmed another subscription state than it was told")
        }
        channel.isConfirmed = channel.unconfirmed == 0 && channel.isWanted
        channels[name] = channel
        forgetIfUnused(name)
        return channel.isConfirmed ? channel.listeners : []
    }

    func listeners(of name: ChannelName) -> [Listener] {
        guard let channel = channels[name], channel.isConfirmed else { return [] }
        return channel.listeners
    }

    mutating func connected() {
        isConnected = true
        for name in channels.keys { note(name) }
    }

    /// Whom to tell that messages are missed from now on.
    mutating func disconnected() -> [Listener] {
        isConnected = false
        changed = []
        isChanged = []
        var told: [Listener] = []
        for (name, channel) in channels {
            if channel.isConfirmed { told += channel.listeners }
            channels[name] = channel.listeners.isEmpty ? nil : Channel(listeners: channel.listeners)
        }
        return told
    }
}
