import Domain
import Storage

/// Shows committed events: to the watchers of this process at once, to the other replicas over Redis.
struct RunPublisher: Sendable {
    let feeds: FeedHub
    let stream: RunStream
    let published: MetricCounter

    func publish(_ events: [RunEvent], of run: RunID) {
        guard !events.isEmpty else { return }
        published.add(events.count)
        let frames = events.map { RunFrame($0, of: run) }
        feeds.deliver(frames, of: run)
        stream.publish(frames, of: run)
    }
}

extension Array where Element == NewRunEvent {
    /// These events as rows, once they are known to follow `after`.
    func numbered(after: Int64, claim: Int32, at time: Timestamp) -> [RunEvent] {
        enumerated().map { index, event in
            RunEvent(seq: after + Int64(index) + 1, type: event.type, time: time, claimNumber: claim, data: event.data)
        }
    }
}
