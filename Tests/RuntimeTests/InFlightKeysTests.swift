import Domain
import TestSupport
import Testing

@testable import Runtime

@Suite(.timeLimit(.minutes(5)))
struct InFlightKeysTests {
    private let key = InFlightKeys.Key(tenant: .generate(), principal: .generate(), slot: [1])
    private var soon: ContinuousClock.Instant { .now + .seconds(600) }

    @Test func `one is in, the others wait until it leaves, and other keys do not wait`() async {
        let keys = InFlightKeys()
        #expect(await keys.enter(key, until: soon) == .entered)
        let other = InFlightKeys.Key(tenant: key.tenant, principal: key.principal, slot: [2])
        #expect(await keys.enter(other, until: soon) == .entered)
        let entrances = await withTaskGroup(of: InFlightKeys.Entrance.self) { group in
            for _ in 0..<20 { group.addTask { [key, soon] in await keys.enter(key, until: soon) } }
            // None of them has come back.
            #expect(await eventuallyWaiting(keys, 20))
            keys.leave(key)
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(entrances == Array(repeating: .ended, count: 20))
        #expect(await keys.enter(key, until: soon) == .entered, "the key is free again")
    }

    @Test func `a wait ends at its time, and leaves nothing behind`() async {
        let keys = InFlightKeys()
        #expect(await keys.enter(key, until: soon) == .entered)
        let start = ContinuousClock.now
        #expect(await keys.enter(key, until: start + .milliseconds(100)) == .overdue)
        #expect(ContinuousClock.now - start >= .milliseconds(100))
        #expect(keys.waiters(key) == 0)
    }

    @Test func `a cancelled request waits no longer`() async {
        let keys = InFlightKeys()
        #expect(await keys.enter(key, until: soon) == .entered)
        let waiting = Task { [key, soon] in await keys.enter(key, until: soon) }
        #expect(await eventuallyWaiting(keys, 1))
        waiting.cancel()
        #expect(await waiting.value == .overdue)
        #expect(keys.waiters(key) == 0)
    }

    @Test func `no more than the bound may wait for one key`() async {
        let keys = InFlightKeys()
        #expect(await keys.enter(key, until: soon) == .entered)
        let entrances = await withTaskGroup(of: InFlightKeys.Entrance.self) { group in
            for _ in 0..<Limits.maxWaitingTwins { group.addTask { [key, soon] in await keys.enter(key, until: soon) } }
            #expect(await eventuallyWaiting(keys, Limits.maxWaitingTwins))
            #expect(await keys.enter(key, until: soon) == .overdue, "at once")
            keys.leave(key)
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(entrances == Array(repeating: .ended, count: Limits.maxWaitingTwins))
    }

    private func eventuallyWaiting(_ keys: InFlightKeys, _ count: Int) async -> Bool {
        await eventually { keys.waiters(key) == count }
    }
}
