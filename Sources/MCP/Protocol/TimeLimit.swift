/// Ends an operation from beside it, with an error. What comes after the first has no effect.
typealias Failing = @Sendable (any Error) -> Void

/// Runs `operation` and cancels it at `deadline`, the error is then `mcp_timeout`, or when it is failed from beside. Returns when the
/// operation has ended.
func withDeadline<Value: Sendable>(
    _ deadline: ContinuousClock.Instant, _ operation: @escaping @Sendable (_ fail: @escaping Failing) async throws -> Value
) async throws -> Value {
    let (failures, failure) = AsyncThrowingStream.makeStream(of: Never.self, bufferingPolicy: .bufferingOldest(1))
    return try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await operation { failure.finish(throwing: $0) } }
        group.addTask {
            for try await _ in failures {}
            throw CancellationError()
        }
        group.addTask {
            try await Task.sleep(until: deadline, clock: .continuous)
            throw MCPError.timedOut
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw CancellationError() }
        return value
    }
}

/// A last word to a server, after which nothing is waited for: also for a task that is canceled, for a bounded time.
func sayGoodbye(within seconds: Int, _ operation: @escaping @Sendable () async throws -> Void) async {
    await Task { try? await withDeadline(.now.advanced(by: .seconds(seconds))) { _ in try await operation() } }.value
}
