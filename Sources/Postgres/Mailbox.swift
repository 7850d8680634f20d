import Synchronization

/// The one door from callers to the reactor thread. Its length is bounded by the checks made before `post`.
final class Mailbox: Sendable {
    struct Content {
        var segments: [Segment] = []
        /// Segments whose caller was cancelled.
        var canceled: [Segment] = []
        /// Tokens of cancel requests that reached the server (or failed to).
        var endedCancels: [Int] = []
        /// Continuations of `run()`.
        var runners: [UnsafeContinuation<Void, Never>] = []
        var startRequested = false
        var shutDownRequested = false
        /// Set by the engine when it has ended: nothing is taken any more.
        var closed = false

        mutating func removeAll() {
            segments.removeAll(keepingCapacity: segments.capacity <= 4096)
            canceled.removeAll(keepingCapacity: canceled.capacity <= 4096)
            runners.removeAll()
            endedCancels.removeAll(keepingCapacity: true)
        }
    }

    private let content = Mutex(Content())
    private let reactor: ReactorExecutor

    init(reactor: ReactorExecutor) { self.reactor = reactor }

    /// False when the engine takes no more work of this kind.
    func post(_ segment: Segment) -> Bool {
        let taken = content.withLock { content -> Bool in
            if content.closed { return false }
            if content.shutDownRequested {
                // A transaction that is open may come to its end.
                switch segment.kind {
                case .within, .end: break
                case .statement, .begin: return false
                }
            }
            content.segments.append(segment)
            return true
        }
        if taken { reactor.poke() }
        return taken
    }

    func postCanceled(_ segment: Segment) {
        let taken = content.withLock { content -> Bool in
            if content.closed { return false }
            content.canceled.append(segment)
            return true
        }
        if taken { reactor.poke() }
    }

    func postEndOfCancel(_ token: Int) {
        content.withLock { if !$0.closed { $0.endedCancels.append(token) } }
        reactor.poke()
    }

    func start() {
        content.withLock { $0.startRequested = true }
        reactor.poke()
    }

    func shutDown() {
        content.withLock { $0.shutDownRequested = true }
        reactor.poke()
    }

    /// Resumes when the engine has ended.
    func waitForEnd() async {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            let closed = content.withLock { content -> Bool in
                if !content.closed { content.runners.append(continuation) }
                return content.closed
            }
            if closed { continuation.resume() } else { reactor.poke() }
        }
    }

    /// Swaps the content out; `into` must be empty.
    func take(into taken: inout Content) {
        content.withLock { content in
            swap(&content, &taken)
            content.startRequested = taken.startRequested
            content.shutDownRequested = taken.shutDownRequested
            content.closed = taken.closed
        }
    }

    /// Nothing is taken from here on; returns what came in at the last moment.
    func close() -> Content {
        content.withLock { content in
            let rest = content
            content = Content()
            content.shutDownRequested = true
            content.closed = true
            return rest
        }
    }
}
