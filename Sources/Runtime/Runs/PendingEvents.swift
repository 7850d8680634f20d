import Domain
import JSON

/// Events that wait for the append before them, in order; neighbouring deltas of one kind are one event.
struct PendingEvents {
    private enum Item {
        case event(NewRunEvent)
        case delta(RunEventType, text: String, stampNanoseconds: Int64?)
    }

    private var items: [Item] = []
    private var bytes = 0
    /// A merged delta stays below this, so that one frame is never a wall of text.
    private static let maxMergedBytes = 16 * 1024

    var isEmpty: Bool { items.isEmpty }
    var isFull: Bool { items.count >= Limits.maxPendingEvents || bytes >= Limits.maxPendingEventBytes }

    mutating func append(_ event: NewRunEvent) {
        items.append(.event(event))
        bytes += event.data.bytes.count
    }

    mutating func appendDelta(_ type: RunEventType, text: String, stampNanoseconds: Int64?) {
        bytes += text.utf8.count
        if case .delta(let last, let before, let stamp)? = items.last, last == type,
            before.utf8.count + text.utf8.count <= Self.maxMergedBytes
        {
            // The older stamp stays: a merged delta is as late as its first part.
            items[items.count - 1] = .delta(type, text: before + text, stampNanoseconds: stamp)
        } else {
            items.append(.delta(type, text: text, stampNanoseconds: stampNanoseconds))
        }
    }

    /// The next append's events.
    mutating func take() -> [NewRunEvent] {
        let count = min(items.count, Limits.maxEventsPerAppend)
        let events = items.prefix(count).map { item in
            switch item {
            case .event(let event): event
            case .delta(let type, let text, let stamp): RunEventData.delta(type, text: text, stampNanoseconds: stamp)
            }
        }
        items.removeFirst(count)
        bytes = items.isEmpty ? 0 : max(0, bytes - events.reduce(0) { $0 + $1.data.bytes.count })
        return events
    }
}
