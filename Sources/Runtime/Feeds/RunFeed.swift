import Domain
import NIOCore
import Redis
import Storage
import Synchronization

/// One run's live events in this process, shared by all its watchers.
final class RunFeed: Sendable {
    struct State {
        var ring: FeedRing
        var loops: [ObjectIdentifier: LoopWatchers] = [:]
        /// Watchers, live or reading history.
        var followers = 0
        var lastHeard = ContinuousClock.now
        var isFilling = false
        var subscription: RedisSubscription?
    }

    let scope: TenantScope
    let run: RunID
    let state: Mutex<State>

    init(scope: TenantScope, run: RunID, lastSeq: Int64) {
        self.scope = scope
        self.run = run
        state = Mutex(State(ring: FeedRing(base: lastSeq)))
    }

    var lastSeq: Int64 { state.withLock { $0.ring.lastSeq } }

    /// A notice came that held nothing new.
    func heard() { state.withLock { $0.lastHeard = .now } }

    /// Takes frames in and has each loop hand them out. True when something before them is missing.
    func deliver(_ frames: [FeedFrame]) -> Bool {
        let (loops, hasHole) = state.withLock { state -> ([LoopWatchers], Bool) in
            state.lastHeard = .now
            var didAdd = false
            var hasHole = false
            for frame in frames {
                switch state.ring.add(frame) {
                case .added: didAdd = true
                case .known: break
                case .hole: hasHole = true
                }
            }
            return (didAdd ? Array(state.loops.values) : [], hasHole)
        }
        for loop in loops { loop.schedule() }
        return hasHole
    }

    /// What follows a cursor; nil when that is history.
    func slice(after cursor: Int64, maxBytes: Int = 256 * 1024) -> FeedSlice? {
        state.withLock { $0.ring.slice(after: cursor, maxBytes: maxBytes) }
    }

    /// Sets the watcher among those that live events are written to; false when there already is something for it.
    func join(_ watcher: LiveWatcher, on hubLoop: HubLoop) -> Bool {
        let loop = watcher.channel.eventLoop
        return state.withLock { state in
            // A cursor ahead of the run waits here for what comes after it.
            guard state.ring.lastSeq <= watcher.cursor, !state.ring.isEnded else { return false }
            let key = ObjectIdentifier(loop)
            let group =
                state.loops[key]
                ?? {
                    let made = LoopWatchers(feed: self, loop: loop)
                    state.loops[key] = made
                    hubLoop.insert(made)
                    return made
                }()
            group.insert(watcher)
            return true
        }
    }

    /// A loop has no live watcher left.
    func retire(_ group: LoopWatchers) {
        state.withLock { state in
            if group.isEmpty { state.loops[ObjectIdentifier(group.loop)] = nil }
        }
    }
}
