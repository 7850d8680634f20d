public import Domain
import Logging
public import NIOCore
import Redis
import ServiceLifecycle
import Storage
import Synchronization

/// Why following a run came to its end.
public enum FollowEnd: Sendable {
    /// The run's last event was given out.
    case terminal
    /// The connection is gone.
    case closed
    /// This process is going away; the client resumes elsewhere.
    case shutdown
}

/// The feeds of this process: one for each run that somebody watches here.
public final class FeedHub: Sendable {
    private struct State {
        var feeds: [RunID: RunFeed] = [:]
        var loops: [ObjectIdentifier: HubLoop] = [:]
        var toFill: [RunFeed] = []
        var isShutDown = false
    }

    private let database: Database
    private let claims: Claims
    private let history: FeedHistory
    private let subscriber: RedisSubscriber
    private let loops: LoopExecutors?
    private let logger: Logger
    private let state = Mutex(State())
    private let fillRequests = Signal()
    private let watchers = Atomic<Int>(0)

    /// Feeds are filled on `loops` in turn.
    init(
        database: Database, stream: RunStream, subscriber: RedisSubscriber, loops: LoopExecutors? = nil, metrics: MetricsRegistry,
        logger: Logger
    ) {
        self.database = database
        claims = Claims(database)
        history = FeedHistory(database: database, stream: stream)
        self.subscriber = subscriber
        self.loops = loops
        self.logger = logger
        metrics.gauge("hsafa_feeds", help: "Runs that are watched in this process.") { [weak self] in
            Double(self?.state.withLock { $0.feeds.count } ?? 0)
        }
        metrics.gauge("hsafa_stream_watchers", help: "Open event streams of this process.") { [weak self] in
            Double(self?.watchers.load(ordering: .relaxed) ?? 0)
        }
    }

    // MARK: Delivery

    func deliver(_ frames: [RunFrame], of run: RunID) {
        guard let feed = state.withLock({ $0.feeds[run] }) else { return }
        deliver(frames, to: feed)
    }

    private func deliver(_ frames: [RunFrame], to feed: RunFeed) {
        // This process hears its own notices, too: what the feed has is not encoded again.
        let lastSeq = feed.lastSeq
        let fresh = frames.filter { $0.seq > lastSeq }
        guard !fresh.isEmpty else { return feed.heard() }
        if feed.deliver(fresh.map(FeedFrame.init)) { requestFill(feed) }
    }

    private func requestFill(_ feed: RunFeed) {
        let isFirst = feed.state.withLock { state in
            defer { state.isFilling = true }
            return !state.isFilling
        }
        // One request a feed, so the list is bounded by the number of feeds.
        guard isFirst else { return }
        state.withLock { $0.toFill.append(feed) }
        fillRequests.raise()
    }

    // MARK: Following

    /// Gives out every event after `cursor`, once and in order, until the last one, the connection's end, or this process' end.
    /// `write` is the response's writer, which waits for the connection; live events go straight to `sink`.
    public func follow(
        _ scope: TenantScope, _ run: RunID, after cursor: Int64, lastSeq: Int64, sink: FeedSink,
        write: (ByteBuffer) async throws -> Void
    ) async throws -> FollowEnd {
        let feed = try enter(scope, run, lastSeq: lastSeq)
        watchers.add(1, ordering: .relaxed)
        defer {
            watchers.subtract(1, ordering: .relaxed)
            leave(feed)
        }
        var cursor = cursor
        while true {
            if state.withLock({ $0.isShutDown }) { return .shutdown }
            guard let slice = feed.slice(after: cursor, maxBytes: FeedHistory.pieceBytes) else {
                // In a child: the watcher's own task would keep the memory of these frames for as long as it waits.
                let reached = cursor
                async let reading = history.page(scope, run, after: reached)
                let page = try await reading
                cursor = try await giveOut(page, after: cursor, sink, write)
                if page.last?.isTerminal == true { return .terminal }
                continue
            }
            if slice.bytes.readableBytes > 0 {
                try await withStallLimit(sink.channel) { try await write(slice.bytes) }
                cursor = slice.lastSeq
            }
            if slice.isTerminal { return .terminal }
            guard slice.bytes.readableBytes == 0 else { continue }
            switch await live(feed, sink, cursor) {
            case .lagging(let reached): cursor = reached
            case .terminal: return .terminal
            case .closed: return .closed
            case .shutdown: return .shutdown
            }
        }
    }

    private func giveOut(
        _ page: [RunFrame], after cursor: Int64, _ sink: FeedSink, _ write: (ByteBuffer) async throws -> Void
    ) async throws -> Int64 {
        guard let last = page.last else {
            // The feed knows of later events than the history holds: a read that was overtaken. The next one has them.
            try await Task.sleep(for: .milliseconds(20))
            return cursor
        }
        for piece in FeedHistory.pieces(of: page, after: cursor) {
            try await withStallLimit(sink.channel) { try await write(piece) }
        }
        return last.seq
    }

    private func live(_ feed: RunFeed, _ sink: FeedSink, _ cursor: Int64) async -> LiveEnd {
        await withCheckedContinuation { continuation in
            sink.channel.eventLoop.execute {
                let watcher = LiveWatcher(sink: sink, cursor: cursor, resume: continuation)
                guard sink.channel.isActive else { return watcher.leave(.closed) }
                guard !self.state.withLock({ $0.isShutDown }) else { return watcher.leave(.shutdown) }
                // The hub's lock is taken before the feed's everywhere, so its loop is looked up before the feed is asked.
                let hubLoop = self.hubLoop(sink.channel.eventLoop)
                if !feed.join(watcher, on: hubLoop) { watcher.leave(.lagging(cursor)) }
            }
        }
    }

    /// A connection that takes nothing for a while is closed; its client resumes by its last id.
    private func withStallLimit(_ channel: any Channel, _ body: () async throws -> Void) async throws {
        let limit = channel.eventLoop.scheduleTask(in: .seconds(Int64(Limits.watcherStallSeconds))) { channel.close(promise: nil) }
        defer { limit.cancel() }
        try await body()
    }

    // MARK: Feeds

    private func enter(_ scope: TenantScope, _ run: RunID, lastSeq: Int64) throws -> RunFeed {
        let (feed, isNew) = try state.withLock { state -> (RunFeed, Bool) in
            if let feed = state.feeds[run] {
                feed.state.withLock { $0.followers += 1 }
                return (feed, false)
            }
            guard state.feeds.count < Limits.maxFeeds else {
                throw GatewayError.unavailable("Too many runs are watched here; try again.", cause: "\(Limits.maxFeeds) feeds")
            }
            let feed = RunFeed(scope: scope, run: run, lastSeq: lastSeq)
            feed.state.withLock { $0.followers = 1 }
            state.feeds[run] = feed
            return (feed, true)
        }
        guard isNew else { return feed }
        let subscription = subscriber.subscribe(RedisKeys.notify(run)) { [weak self, weak feed] push in
            guard let self, let feed else { return }
            switch push {
            // What came before the confirmation, or while the connection was away, is read from the log.
            case .subscribed: self.requestFill(feed)
            case .message(let message):
                guard let frames = RunStream.decode(message, after: feed.lastSeq) else { return self.requestFill(feed) }
                self.deliver(frames, to: feed)
            case .disconnected: break
            }
        }
        feed.state.withLock { $0.subscription = subscription }
        return feed
    }

    private func leave(_ feed: RunFeed) {
        let subscription = state.withLock { state -> RedisSubscription? in
            let (isLast, subscription) = feed.state.withLock { feedState -> (Bool, RedisSubscription?) in
                feedState.followers -= 1
                return (feedState.followers == 0, feedState.subscription)
            }
            guard isLast else { return nil }
            state.feeds[feed.run] = nil
            return subscription
        }
        subscription?.cancel()
    }

    private func hubLoop(_ loop: any EventLoop) -> HubLoop {
        state.withLock { state in
            let key = ObjectIdentifier(loop)
            if let known = state.loops[key] { return known }
            let made = HubLoop(loop: loop)
            state.loops[key] = made
            return made
        }
    }

    // MARK: What lives

    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.fillLoop() }
            group.addTask { await self.watchSilence() }
            group.addTask { await self.keepAliveLoop() }
            group.addTask {
                try? await gracefulShutdown()
                self.shutDown()
            }
        }
    }

    private func shutDown() {
        let loops = state.withLock { state -> [HubLoop] in
            state.isShutDown = true
            return Array(state.loops.values)
        }
        for hubLoop in loops { hubLoop.loop.execute { hubLoop.shutDown() } }
    }

    private func fillLoop() async {
        while !Task.isCancelled {
            await fillRequests.wait()
            let feeds = state.withLock { state in
                defer { state.toFill = [] }
                return state.toFill
            }
            await withDiscardingTaskGroup { group in
                for feed in feeds { group.addTask(executorPreference: loops?.next()) { await self.fill(feed) } }
            }
        }
    }

    /// Reads on from the feed's last event, so that a hole is closed.
    private func fill(_ feed: RunFeed) async {
        feed.state.withLock { $0.isFilling = false }
        do {
            while true {
                let after = feed.lastSeq
                let page = try await database.tenant(feed.scope).events(of: feed.run, after: after, limit: Limits.feedPageEvents)
                if !page.isEmpty { _ = feed.deliver(page.map { FeedFrame(RunFrame($0, of: feed.run)) }) }
                if page.count < Limits.feedPageEvents { return }
            }
        } catch {
            // The watch over silent feeds asks again.
            logger.warning("feed not filled", metadata: ["run": "\(feed.run)", "cause": "\(error)"])
        }
    }

    /// Behind the notices stands a poll: feeds that heard nothing for a while are compared with Postgres, all in one statement.
    private func watchSilence() async {
        let interval = Duration.milliseconds(Limits.feedSilenceMilliseconds / 2)
        while (try? await Task.sleep(for: interval)) != nil {
            let limit = ContinuousClock.now - .milliseconds(Limits.feedSilenceMilliseconds)
            let silent = state.withLock { Array($0.feeds.values) }.filter { feed in
                feed.state.withLock { $0.lastHeard < limit && !$0.ring.isEnded }
            }
            for start in stride(from: 0, to: silent.count, by: 1000) {
                let batch = silent[start..<min(start + 1000, silent.count)]
                guard let seqs = try? await claims.lastSeqs(batch.map { ($0.scope.tenantID, $0.run) }) else { continue }
                for feed in batch {
                    feed.state.withLock { $0.lastHeard = .now }
                    if (seqs[feed.run] ?? 0) > feed.lastSeq { requestFill(feed) }
                }
            }
        }
    }

    private func keepAliveLoop() async {
        let comment = ByteBuffer(string: ": keep-alive\n\n")
        while (try? await Task.sleep(for: .seconds(Limits.streamKeepAliveSeconds))) != nil {
            for hubLoop in state.withLock({ Array($0.loops.values) }) { hubLoop.loop.execute { hubLoop.keepAlive(comment) } }
        }
    }
}
