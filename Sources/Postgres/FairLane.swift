/// Whose work it is; what has no scope is one more.
struct ScopeKey: Hashable {
    private let text: String

    init(_ scope: String?) { text = scope ?? "" }
}

/// Connections that one statement or transaction holds at a time, given out in turns: a scope holds no more than its share, and of those
/// that wait each gets one before any gets another. Whoever holds one for long delays its own.
struct FairLane: ConnectionLane {
    let window = 1
    let connections: [Connection]
    let share: Int
    let waitMilliseconds: Int64?
    let maxWaitingPerScope: Int
    var reruns = SegmentQueue()
    var downSince: Int64?
    var lastFailure = "not connected yet"
    private var lines: [ScopeKey: SegmentQueue] = [:]
    /// Scopes that have a line, in the order of their turns.
    private var turns: [ScopeKey] = []
    /// All that wait, for their deadlines; those that do so no longer are dropped when they come first.
    private var arrivals = SegmentQueue()
    /// In all lines, with those that were cancelled there.
    private var lineCount = 0
    private var goneCount = 0

    init(connections: [Connection], share: Int, waitMilliseconds: Int, maxWaitingPerScope: Int, downSince: Int64) {
        self.connections = connections
        self.share = max(1, share)
        self.waitMilliseconds = Int64(waitMilliseconds)
        self.maxWaitingPerScope = maxWaitingPerScope
        self.downSince = downSince
    }

    /// False when too many of its scope wait.
    mutating func append(_ segment: Segment) -> Bool {
        let scope = ScopeKey(segment.scope)
        if let count = lines[scope]?.count {
            if count >= maxWaitingPerScope {
                lines[scope]?.compact()
                lineCount -= count - (lines[scope]?.count ?? 0)
                if lines[scope]?.count ?? 0 >= maxWaitingPerScope { return false }
            }
            lines[scope]?.append(segment)
        } else {
            lines[scope] = SegmentQueue(segment)
            turns.append(scope)
        }
        lineCount += 1
        // Behind one that waits for long stand those that went out meanwhile, each with what it carried.
        if arrivals.count > 64 + 2 * lineCount { arrivals.compact(keeping: \.isQueued) }
        arrivals.append(segment)
        return true
    }

    /// Marks and takes what goes out next, if there is a connection for it.
    mutating func next() -> Segment? {
        while let segment = reruns.popFirst() {
            if segment.markSent() { return segment }
        }
        // At most one scope for each connection is passed over.
        var index = 0
        while index < turns.count {
            let scope = turns[index]
            guard connections.count(where: { $0.scopeAtWork == scope }) < share else {
                index += 1
                continue
            }
            turns.remove(at: index)
            var taken: Segment?
            while taken == nil, let segment = lines[scope]?.popFirst() {
                lineCount -= 1
                if segment.markSent() { taken = segment }
            }
            if lines[scope]?.isEmpty ?? true { lines[scope] = nil } else { turns.append(scope) }
            if let taken { return taken }
        }
        return nil
    }

    var longestWaiting: Segment? {
        mutating get {
            while let first = arrivals.first, !first.isQueued { _ = arrivals.popFirst() }
            return arrivals.first
        }
    }

    mutating func dropLongestWaiting() {
        _ = arrivals.popFirst()
        noteCanceled()
    }

    mutating func noteCanceled() {
        goneCount += 1
        guard goneCount > 256, goneCount > arrivals.count / 2 else { return }
        goneCount = 0
        arrivals.compact(keeping: \.isQueued)
        for scope in turns {
            lines[scope]?.compact()
            if lines[scope]?.isEmpty ?? true { lines[scope] = nil }
        }
        turns.removeAll { lines[$0] == nil }
        lineCount = lines.values.reduce(0) { $0 + $1.count }
    }

    mutating func removeAll() -> [Segment] {
        let waiting = turns.flatMap { lines[$0]?.removeAll() ?? [] }
        lines = [:]
        turns = []
        lineCount = 0
        _ = arrivals.removeAll()
        return reruns.removeAll() + waiting
    }
}
