/// First in, first out.
struct SegmentQueue {
    private var items: [Segment] = []
    private var head = 0

    init() {}

    init(_ first: Segment) { items = [first] }

    var count: Int { items.count - head }
    var isEmpty: Bool { head == items.count }
    var first: Segment? { isEmpty ? nil : items[head] }

    mutating func append(_ segment: Segment) { items.append(segment) }

    mutating func append(contentsOf segments: [Segment]) { items.append(contentsOf: segments) }

    mutating func popFirst() -> Segment? {
        guard head < items.count else { return nil }
        defer {
            head += 1
            if head == items.count {
                items.removeAll(keepingCapacity: items.capacity <= 4096)
                head = 0
            } else if head >= 4096 {
                items.removeFirst(head)
                head = 0
            }
        }
        return items[head]
    }

    /// Lets go of what nobody waits for.
    mutating func compact(keeping isWaiting: (Segment) -> Bool = { !$0.isAnswered }) {
        items = items[head...].filter(isWaiting)
        head = 0
    }

    mutating func removeAll() -> [Segment] {
        defer {
            items = []
            head = 0
        }
        return Array(items[head...])
    }
}
