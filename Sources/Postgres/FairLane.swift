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
    /// Of all together; a scope with nothing that waits gets in all the same, so that a few cannot keep the others out.
    let maxWaiting: Int
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

    init(connections: [Connection], share: Int, waitMilliseconds: Int, maxWaiting: Int, maxWaitingPerScope: Int, downSince: Int64) {
        self.connections = connections
        self.share = max(1, share)
        self.waitMilliseconds = Int64(waitMilliseconds)
        self.maxWaiting = maxWaiting
        self.maxWaitingPerScope = maxWaitingPerScope
        self.downSince = downSince
    }

    /// Why it may not wait, if too many do already.
    mutating func append(_ segment: Segment) -> PostgresError? {
        let scope = ScopeKey(segment.scope)
        if let count = lines[scope]?.count, count >= maxWaitingPerScope {
            lines[scope]?.compact()
            lineCount -= count - (lines[scope]?.count ?? 0)
            if lines[scope]?.count ?? 0 >= maxWaitingPerScope {
                return PostgresError(.scopeQueueFull, "\(maxWaitingPerScope) callers of this scope wait for a connection already")
            }
        }
        if lineCount >= maxWaiting { compact() }
        if lines[scope] != nil {
            guard lineCount < maxWaiting else {
                return PostgresError(.queueFull, "\(maxWaiting) callers wait for a connection already")
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
        return nil
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
        if goneCount > 256, goneCount > arrivals.count / 2 { compact() }
    }

    private mutating func compact() {
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
