import Domain
import Synchronization

/// What each run token may have of its tenant's rates and streams, in this process: whoever has a page's token cannot use up what the
/// tenant's other pages and keys need.
final class RunTokenShare: Sendable {
    private struct State {
        /// By the SHA-256 of the token's text: whoever knows only its public part cannot spend it.
        var buckets: [[UInt8]: RefillingBucket] = [:]
        var streams: [RunTokenID: Int] = [:]
    }

    private let burst: Double
    private let perSecond: Double
    private let maxStreams: Int
    private let maxTokens: Int
    private let state = Mutex(State())

    init(
        burst: Int = Limits.runTokenBurst, perSecond: Double = Limits.runTokenRequestsPerSecond,
        maxStreams: Int = Limits.maxStreamsPerRunToken, maxTokens: Int = Limits.maxKnownRunTokens
    ) {
        self.burst = Double(burst)
        self.perSecond = perSecond
        self.maxStreams = maxStreams
        self.maxTokens = maxTokens
    }

    /// Takes one request; nil, or the whole seconds until the next may come.
    func take(_ token: [UInt8], at now: ContinuousClock.Instant = .now) -> Int? {
        state.withLock { state in
            if state.buckets[token] == nil, state.buckets.count >= maxTokens { makeRoom(&state, now) }
            var bucket = state.buckets[token] ?? RefillingBucket(left: burst, at: now)
            bucket.fill(to: burst, perSecond: perSecond, now)
            let wait = bucket.wait(perSecond: perSecond)
            if wait == nil { bucket.left -= 1 }
            state.buckets[token] = bucket
            return wait
        }
    }

    /// A full one needs no memory; where none is full, the fullest goes, whose token gains least by it. A rare event, so a scan is fine.
    private func makeRoom(_ state: inout State, _ now: ContinuousClock.Instant) {
        state.buckets = state.buckets.filter { _, bucket in
            var bucket = bucket
            bucket.fill(to: burst, perSecond: perSecond, now)
            return bucket.left < burst
        }
        guard state.buckets.count >= maxTokens else { return }
        if let fullest = state.buckets.max(by: { $0.value.left < $1.value.left })?.key { state.buckets[fullest] = nil }
    }

    /// nil: the token has as many streams open as it may.
    func openStream(_ token: RunTokenID) -> RunTokenStream? {
        let isOpen = state.withLock { state in
            let count = state.streams[token] ?? 0
            guard count < maxStreams else { return false }
            state.streams[token] = count + 1
            return true
        }
        return isOpen ? RunTokenStream(self, token) : nil
    }

    fileprivate func close(_ token: RunTokenID) {
        state.withLock { state in
            let rest = (state.streams[token] ?? 1) - 1
            state.streams[token] = rest > 0 ? rest : nil
        }
    }
}

/// A stream's place among those of its token; given back when nobody refers to it any more.
public final class RunTokenStream: Sendable {
    private let share: RunTokenShare
    private let token: RunTokenID

    fileprivate init(_ share: RunTokenShare, _ token: RunTokenID) {
        self.share = share
        self.token = token
    }

    deinit { share.close(token) }
}
