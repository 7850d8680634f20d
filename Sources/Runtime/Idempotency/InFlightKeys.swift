import Domain
import Synchronization

/// The keyed creations that this process carries out now. A twin waits here, where it holds no connection of the transaction lane;
/// twins in other processes wait on the row in Postgres, which alone decides.
final class InFlightKeys: Sendable {
    struct Key: Hashable {
        let tenant: TenantID
        let principal: APIKeyID
        let slot: [UInt8]
    }

    enum Entrance { case entered, ended, overdue }

    /// Who waits for the one that is in.
    private let waiting = Mutex<[Key: [Signal]]>([:])

    /// Enters if nobody is in. Else waits until the one who is in has left, or until `deadline`.
    func enter(_ key: Key, until deadline: ContinuousClock.Instant) async -> Entrance {
        let signal = Signal()
        let first = waiting.withLock { waiting -> Entrance? in
            guard let others = waiting[key] else {
                waiting[key] = []
                return .entered
            }
            guard others.count < Limits.maxWaitingTwins else { return .overdue }
            waiting[key] = others + [signal]
            return nil
        }
        if let first { return first }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await signal.wait() }
            group.addTask { try? await Task.sleep(until: deadline) }
            await group.next()
            group.cancelAll()
        }
        let isStillWaiting = waiting.withLock { waiting -> Bool in
            guard let index = waiting[key]?.firstIndex(where: { $0 === signal }) else { return false }
            waiting[key]?.remove(at: index)
            return true
        }
        return isStillWaiting ? .overdue : .ended
    }

    /// How many wait for this key now.
    func waiters(_ key: Key) -> Int { waiting.withLock { $0[key]?.count ?? 0 } }

    func leave(_ key: Key) {
        let waiters = waiting.withLock { $0.removeValue(forKey: key) } ?? []
        for waiter in waiters { waiter.raise() }
    }
}
