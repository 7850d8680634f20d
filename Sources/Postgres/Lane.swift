/// A transaction's hold on a connection.
final class Lease {
    let identity: Int
    let scope: ScopeKey
    let connection: Connection
    /// What the body (or the end) asked for while another of its statements runs.
    var pending = SegmentQueue()
    /// The first error since BEGIN: the transaction is aborted, unless the body went back to a savepoint.
    var failure: PostgresError?

    init(identity: Int, scope: ScopeKey, connection: Connection) {
        self.identity = identity
        self.scope = scope
        self.connection = connection
    }
}

enum LaneName {
    case shared, leased, lists
}

/// A set of equal connections and what waits for them.
protocol ConnectionLane {
    /// Groups in flight per connection.
    var window: Int { get }
    var connections: [Connection] { get }
    /// Rolled back through no fault of their own; they go first, each alone.
    var reruns: SegmentQueue { get set }
    /// Since when no connection has been up.
    var downSince: Int64? { get set }
    var lastFailure: String { get set }
    /// How long callers wait while there are connections; nil: as long as it takes.
    var waitMilliseconds: Int64? { get }
    /// Who waits longest, `reruns` aside.
    var longestWaiting: Segment? { mutating get }
    /// It was answered.
    mutating func dropLongestWaiting()
    mutating func noteCanceled()
    /// Everything that waits, `reruns` too.
    mutating func removeAll() -> [Segment]
}

extension ConnectionLane {
    var upCount: Int { connections.reduce(0) { $0 + ($1.isUp ? 1 : 0) } }

    /// The connection with the fewest groups in flight that may take one more.
    func available() -> Connection? {
        var best: Connection?
        for connection in connections where connection.isUp && connection.cancelToken == nil && connection.lease == nil {
            if connection.load < window, best.map({ connection.load < $0.load }) ?? true { best = connection }
        }
        return best
    }

    mutating func noteLoss(_ reason: String, at now: Int64) {
        lastFailure = reason
        if downSince == nil, upCount == 0 { downSince = now }
    }
}

/// Statements of many callers in groups, in the order in which they came.
struct Lane: ConnectionLane {
    /// One runs while the next is on its way.
    let window = 2
    let waitMilliseconds: Int64? = nil
    let connections: [Connection]
    var reruns = SegmentQueue()
    var queue = SegmentQueue()
    /// Cancelled segments that may still stand in `queue`.
    var canceledCount = 0
    var downSince: Int64? = 0
    var lastFailure = "not connected yet"

    init(connections: [Connection], downSince: Int64) {
        self.connections = connections
        self.downSince = downSince
    }

    var longestWaiting: Segment? { queue.first }
    mutating func dropLongestWaiting() { _ = queue.popFirst() }

    /// What comes while a group is under way gathers up to here, or for `gatheringMilliseconds`, before another group goes out beside it: a
    /// group costs the server a commit and a few wake-ups, whatever is in it.
    private static let gatheredCount = 16
    private static let gatheringMilliseconds: Int64 = 1

    /// True when what waits had better gather; then it goes out when a group ends, or at the time returned by `gatheringEnd`.
    func isGathering(now: Int64) -> Bool {
        guard let end = gatheringEnd, end > now, reruns.isEmpty, queue.count < Self.gatheredCount else { return false }
        return connections.contains { $0.load > 0 }
    }

    /// When the segment that waits longest has waited enough; nil when it does not have to.
    var gatheringEnd: Int64? {
        guard let first = queue.first, first.mayShare else { return nil }
        return first.arrivedAt + Self.gatheringMilliseconds + 1
    }

    /// Marks and takes what goes out next: reruns alone, `alone` alone, the rest shared out over the connections.
    mutating func nextGroup(maxCount: Int, maxBytes: Int) -> [Segment] {
        while let segment = reruns.popFirst() {
            if segment.markSent() { return [segment] }
        }
        let fairShare = (queue.count + upCount - 1) / max(1, upCount)
        let wanted = max(1, min(maxCount, max(fairShare, Self.gatheredCount)))
        var group: [Segment] = []
        var byteCount = 0
        while group.count < wanted, let segment = queue.first {
            if !group.isEmpty, !segment.mayShare || byteCount + segment.byteCount > maxBytes { break }
            _ = queue.popFirst()
            guard segment.markSent() else { continue }
            group.append(segment)
            byteCount += segment.byteCount
            if !segment.mayShare { break }
        }
        return group
    }

    mutating func noteCanceled() {
        canceledCount += 1
        if canceledCount > 256, canceledCount > queue.count / 2 {
            queue.compact()
            canceledCount = 0
        }
    }

    mutating func removeAll() -> [Segment] { reruns.removeAll() + queue.removeAll() }
}

extension Segment {
    var mayShare: Bool {
        if case .statement(.shared) = kind { return true }
        return false
    }
}
