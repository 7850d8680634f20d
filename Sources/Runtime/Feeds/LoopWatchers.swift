import Domain
public import NIOCore
import Synchronization

/// How a watcher's bytes get onto its connection.
public struct FeedSink: Sendable {
    public let channel: any Channel
    /// What the transport puts around a piece of the stream. The same for all watchers, so it is called once for all of them.
    public let frame: @Sendable (ByteBuffer) -> ByteBuffer
    /// Writes a framed piece and flushes, without waiting; called on the channel's loop only.
    public let write: @Sendable (any Channel, ByteBuffer) -> Void

    public init(
        channel: any Channel, frame: @escaping @Sendable (ByteBuffer) -> ByteBuffer,
        write: @escaping @Sendable (any Channel, ByteBuffer) -> Void
    ) {
        self.channel = channel
        self.frame = frame
        self.write = write
    }
}

/// Why a live watcher left its loop.
enum LiveEnd: Sendable {
    /// Its connection cannot take more right now: it goes on by itself, at its own pace.
    case lagging(Int64)
    case terminal
    case closed
    case shutdown
}

/// A watcher that has everything so far: a cursor and a connection. Touched on its loop only, once it has joined.
final class LiveWatcher: @unchecked Sendable {
    // @unchecked: `cursor` and `resume` are confined to the channel's event loop after `join`.
    let sink: FeedSink
    var cursor: Int64
    private var resume: CheckedContinuation<LiveEnd, Never>?

    var channel: any Channel { sink.channel }

    init(sink: FeedSink, cursor: Int64, resume: CheckedContinuation<LiveEnd, Never>) {
        self.sink = sink
        self.cursor = cursor
        self.resume = resume
    }

    func leave(_ end: LiveEnd) {
        resume?.resume(returning: end)
        resume = nil
    }
}

/// The live watchers of one feed on one event loop: an event costs one hop to the loop, then a write for each of them.
final class LoopWatchers: @unchecked Sendable {
    // @unchecked: `watchers` is confined to `loop`; the flag is atomic.
    let feed: RunFeed
    let loop: any EventLoop
    private var watchers: [ObjectIdentifier: LiveWatcher] = [:]
    private let isScheduled = Atomic<Bool>(false)

    init(feed: RunFeed, loop: any EventLoop) {
        self.feed = feed
        self.loop = loop
    }

    var isEmpty: Bool { watchers.isEmpty }

    /// On the loop.
    func insert(_ watcher: LiveWatcher) {
        watchers[ObjectIdentifier(watcher)] = watcher
        let key = ObjectIdentifier(watcher)
        watcher.channel.closeFuture.whenComplete { [weak self] _ in self?.remove(key, .closed) }
    }

    private func remove(_ key: ObjectIdentifier, _ end: LiveEnd) {
        guard let watcher = watchers.removeValue(forKey: key) else { return }
        watcher.leave(end)
        if watchers.isEmpty { feed.retire(self) }
    }

    /// From any thread; several deliveries before the loop comes round are one.
    func schedule() {
        guard !isScheduled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.execute { self.drain() }
    }

    private func drain() {
        isScheduled.store(false, ordering: .releasing)
        // Watchers mostly stand at the same cursor, so a slice is made, and framed, once.
        var made: (cursor: Int64, slice: FeedSlice?, framed: ByteBuffer)?
        for (key, watcher) in watchers {
            guard watcher.channel.isWritable else {
                remove(key, .lagging(watcher.cursor))
                continue
            }
            if made?.cursor != watcher.cursor {
                let slice = feed.slice(after: watcher.cursor)
                made = (watcher.cursor, slice, watcher.sink.frame(slice?.bytes ?? ByteBuffer()))
            }
            guard let made, let slice = made.slice else {
                remove(key, .lagging(watcher.cursor))
                continue
            }
            if slice.bytes.readableBytes > 0 {
                watcher.sink.write(watcher.channel, made.framed)
                watcher.cursor = slice.lastSeq
            }
            // Also for a cursor that the run never reached: nothing will follow it.
            if slice.isTerminal { remove(key, .terminal) }
        }
        if watchers.values.contains(where: { $0.cursor < feed.lastSeq }) { schedule() }
    }

    /// A comment keeps proxies and clients sure that the stream lives.
    func keepAlive(_ comment: ByteBuffer) {
        let framed = watchers.first?.value.sink.frame(comment) ?? comment
        for (key, watcher) in watchers {
            if watcher.channel.isWritable { watcher.sink.write(watcher.channel, framed) } else { remove(key, .lagging(watcher.cursor)) }
        }
    }

    func shutDown() {
        for key in Array(watchers.keys) { remove(key, .shutdown) }
    }
}

/// What one event loop has of all feeds: for the comments, and for the end.
final class HubLoop: @unchecked Sendable {
    // @unchecked: `groups` is confined to `loop`.
    let loop: any EventLoop
    private var groups: [ObjectIdentifier: LoopWatchers] = [:]

    init(loop: any EventLoop) { self.loop = loop }

    func insert(_ group: LoopWatchers) { groups[ObjectIdentifier(group)] = group }

    func keepAlive(_ comment: ByteBuffer) {
        for (key, group) in groups {
            if group.isEmpty { groups[key] = nil } else { group.keepAlive(comment) }
        }
    }

    func shutDown() {
        for group in groups.values { group.shutDown() }
        groups = [:]
    }
}
