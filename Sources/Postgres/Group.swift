/// What was put into the pipeline, in order; the server answers in the same order.
enum Operation {
    case prepare(PreparedStatement)
    case deallocate(PreparedStatement)
    case scope(PreparedStatement)
    case execute(PreparedStatement, segment: Int)
}

/// Segments that share one Sync, so one implicit transaction.
final class Group {
    enum Trouble {
        /// The statement was not what this connection believed: prepare it anew and run again.
        case staleStatement
        case statement
    }

    let segments: [Segment]
    var operations: [Operation] = []
    /// Operations whose answer is complete.
    private(set) var completed = 0
    private var sawResult = false
    /// Index of the operation that failed; the count of operations if it was the commit.
    private var failedOperation = -1
    private(set) var outcomes: [Segment.Answer?]
    private(set) var failure: PostgresError?
    private(set) var trouble = Trouble.statement
    /// A cancel request was on its way to the server while this was in flight, so a 57014 need not be its own.
    var isExposedToCancel = false
    /// Its result grew beyond the bound.
    var isOversized = false

    init(_ segments: [Segment]) {
        self.segments = segments
        outcomes = Array(repeating: nil, count: segments.count)
        operations.reserveCapacity(segments.count * 2 + 2)
    }

    var current: Operation? { completed < operations.count ? operations[completed] : nil }

    func succeed(with result: ResultBox, byteCount: Int, limit: Int) {
        sawResult = true
        guard let current else { return }
        switch current {
        case .prepare(let statement): statement.exists = true
        case .deallocate(let statement): statement.exists = false
        case .scope: break
        case .execute(_, let segment):
            outcomes[segment] =
                byteCount <= limit
                ? .success(PostgresRows(result: result))
                : .failure(.oversized(limit: limit, mayHaveRun: segments[segment].mayHaveRunOnceSent))
        }
    }

    /// The server skipped it, because something before it failed.
    func skip() { sawResult = true }

    /// An error after the last operation is one of the commit that Sync asked for: a deferred constraint, a serialization failure.
    func fail(_ error: PostgresError, isReplan: Bool) {
        sawResult = true
        guard failure == nil else { return }
        failure = error
        failedOperation = completed
        switch current {
        case .execute(let statement, _) where error.sqlState == "26000" || isReplan,
            .scope(let statement) where error.sqlState == "26000":
            if error.sqlState == "26000" { statement.exists = false }
            trouble = .staleStatement
        case .deallocate(let statement):
            statement.exists = false
            trouble = .staleStatement
        default: trouble = .statement
        }
    }

    /// The operation that ended last is the one that failed, because its statement was stale.
    var endedStale: Bool { trouble == .staleStatement && failedOperation == completed - 1 }

    /// libpq says that the answer to the current operation is complete. Returns the operation.
    func endOperation() -> Operation? {
        guard sawResult else { return nil }
        sawResult = false
        guard let current else { return nil }
        completed += 1
        return current
    }
}

extension PostgresError {
    static func oversized(limit: Int, mayHaveRun: Bool) -> PostgresError {
        PostgresError(.tooLarge, "the result is larger than \(limit) bytes; ask for fewer rows", mayHaveRun: mayHaveRun)
    }
}
