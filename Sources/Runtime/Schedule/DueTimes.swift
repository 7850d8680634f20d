import Domain
import Synchronization

/// Times of one kind that this process knows of because it has written them, so that it looks at the very moment and not at its next
/// poll. What it does not know of, or forgets, the poll finds.
final class DueTimes: Sendable {
    private struct State {
        var times: [ContinuousClock.Instant] = []
        var isRaised = false
    }

    private let poll: Duration
    private let state = Mutex(State())
    private let signal = Signal()

    init(poll: Duration) { self.poll = poll }

    /// Something is due now, or there is room again.
    func raise() {
        state.withLock { $0.isRaised = true }
        signal.raise()
    }

    func note(inMilliseconds delay: Int) {
        guard delay > 0 else { return raise() }
        // Later than the next poll or two: the poll finds it.
        guard Duration.milliseconds(delay) < poll * 2 else { return }
        let time = ContinuousClock.now + .milliseconds(delay + 1)
        state.withLock { if $0.times.count < Limits.maxNotedTimes { $0.times.append(time) } }
        signal.raise()
    }

    /// Until the earliest of them, the next `raise`, or the poll.
    func wait() async {
        let end = ContinuousClock.now + poll
        while !Task.isCancelled, let until = next(end) {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await Task.sleep(until: until) }
                group.addTask { await self.signal.wait() }
                await group.next()
                group.cancelAll()
            }
        }
        state.withLock { state in
            state.isRaised = false
            let now = ContinuousClock.now
            state.times.removeAll { $0 <= now }
        }
    }

    /// nil: now.
    private func next(_ end: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        state.withLock { state in
            let until = min(state.times.min() ?? end, end)
            return state.isRaised || until <= .now ? nil : until
        }
    }
}

/// Told of each commit that writes what is due.
struct ScheduleNotes: Sendable {
    let timers: DueTimes
    let deliveries: DueTimes

    init(_ intervals: GatewayIntervals) {
        timers = DueTimes(poll: intervals.schedulePoll)
        deliveries = DueTimes(poll: intervals.schedulePoll)
    }

    func note(_ changes: [ScheduleChange]) {
        for change in changes {
            let times = change.kind == .timer ? timers : deliveries
            switch change.due {
            case .now: times.raise()
            case .at(let due):
                times.note(inMilliseconds: Int(due.millisecondsSinceUnixEpoch - Timestamp.now().millisecondsSinceUnixEpoch))
            case .held, .never: break
            }
        }
    }
}
