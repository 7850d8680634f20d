import Synchronization

/// The part of the hash queue that those who issue keys may fill, however many ask: the rest is for keys that want in.
final class HashShare: Sendable {
    private let most: Int
    private let taken = Mutex(0)

    init(_ most: Int) { self.most = most }

    /// Never waits. True must be followed by `leave`.
    func enter() -> Bool {
        taken.withLock { taken in
            guard taken < most else { return false }
            taken += 1
            return true
        }
    }

    func leave() { taken.withLock { $0 -= 1 } }
}
