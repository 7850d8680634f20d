import Domain
import Synchronization

/// How many wrong keys an address may show: a bucket for each, filled again slowly. Only a key that was found wrong takes from it, so
/// many right ones that come at once, from behind one proxy say, are never held back. Guesses side by side may overdraw a
/// bucket, by no more than the hash queue lets through, and the debt is paid in time.
final class FailureLimiter: Sendable {
    private struct State {
        var buckets: [IPAddress: RefillingBucket] = [:]
        /// Of those who found no room among the counted, and of connections without an address.
        var others: RefillingBucket?
        var sweptAt: ContinuousClock.Instant?
    }

    private let most: Double
    private let perSecond: Double
    private let maxAddresses: Int
    private let state = Mutex(State())

    init(
        most: Int = Limits.failuresPerAddress, perSecond: Double = Limits.failuresPerAddressPerSecond,
        maxAddresses: Int = Limits.maxCountedAddresses
    ) {
        self.most = Double(most)
        self.perSecond = perSecond
        self.maxAddresses = maxAddresses
    }

    /// nil when a key may be looked at; else the whole seconds until the next may.
    func wait(_ address: IPAddress?, at now: ContinuousClock.Instant = .now) -> Int? {
        state.withLock { state in
            guard let counted = counted(address, &state, now) else {
                let factor = Limits.sharedFailureFactor
                return Self.wait(state.others, most: most * factor, perSecond: perSecond * factor, now)
            }
            return Self.wait(state.buckets[counted], most: most, perSecond: perSecond, now)
        }
    }

    /// A key from there was looked at, and is wrong.
    func failed(_ address: IPAddress?, at now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            guard let counted = counted(address, &state, now) else {
                let factor = Limits.sharedFailureFactor
                Self.take(&state.others, most: most * factor, perSecond: perSecond * factor, now)
                return
            }
            Self.take(&state.buckets[counted], most: most, perSecond: perSecond, now)
        }
    }

    var countedAddresses: Int { state.withLock { $0.buckets.count } }

    private func counted(_ address: IPAddress?, _ state: inout State, _ now: ContinuousClock.Instant) -> IPAddress? {
        guard let address = address?.subscriber else { return nil }
        if state.buckets[address] != nil || state.buckets.count < maxAddresses { return address }
        // At most once a second: it looks at all of them, and a flood of addresses must not buy that with each request.
        if let sweptAt = state.sweptAt, now - sweptAt < .seconds(1) { return nil }
        state.sweptAt = now
        state.buckets = state.buckets.filter { _, bucket in
            var bucket = bucket
            bucket.fill(to: most, perSecond: perSecond, now)
            return bucket.left < most
        }
        return state.buckets.count < maxAddresses ? address : nil
    }

    private static func wait(_ slot: RefillingBucket?, most: Double, perSecond: Double, _ now: ContinuousClock.Instant) -> Int? {
        guard var bucket = slot else { return nil }
        bucket.fill(to: most, perSecond: perSecond, now)
        return bucket.wait(perSecond: perSecond)
    }

    /// The debt is bounded, as what is owed is waited for.
    private static func take(_ slot: inout RefillingBucket?, most: Double, perSecond: Double, _ now: ContinuousClock.Instant) {
        var bucket = slot ?? RefillingBucket(left: most, at: now)
        bucket.fill(to: most, perSecond: perSecond, now)
        bucket.left = max(-most, bucket.left - 1)
        slot = bucket
    }
}
