import Domain
import Synchronization

/// How many wrong keys an address may show: a bucket for each, filled again slowly. A verification takes one out before it costs
/// anything, so that guesses side by side count as well, and a right key puts it back.
final class FailureLimiter: Sendable {
    private struct Bucket {
        var left: Double
        var at: ContinuousClock.Instant

        mutating func fill(to most: Double, perSecond: Double, _ now: ContinuousClock.Instant) {
            let elapsed = (now - at).components
            left = min(most, left + (Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18) * perSecond)
            at = now
        }
    }

    private struct State {
        var buckets: [IPAddress: Bucket] = [:]
        /// Of those who found no room among the counted, and of connections without an address.
        var others: Bucket?
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
    func take(_ address: IPAddress?, at now: ContinuousClock.Instant = .now) -> Int? {
        state.withLock { state in
            guard let counted = counted(address, &state, now) else {
                let factor = Limits.sharedFailureFactor
                return Self.take(&state.others, most: most * factor, perSecond: perSecond * factor, now)
            }
            return Self.take(&state.buckets[counted], most: most, perSecond: perSecond, now)
        }
    }

    /// The key was right, or was not looked at after all.
    func giveBack(_ address: IPAddress?) {
        state.withLock { state in
            if let address = address?.subscriber, state.buckets[address] != nil {
                state.buckets[address]?.left += 1
            } else {
                state.others?.left += 1
            }
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

    private static func take(
        _ slot: inout Bucket?, most: Double, perSecond: Double, _ now: ContinuousClock.Instant
    ) -> Int? {
        var bucket = slot ?? Bucket(left: most, at: now)
        bucket.fill(to: most, perSecond: perSecond, now)
        defer { slot = bucket }
        guard bucket.left >= 1 else { return max(1, Int(((1 - bucket.left) / perSecond).rounded(.up))) }
        bucket.left -= 1
        return nil
    }
}
