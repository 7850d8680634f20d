import Synchronization

/// Ends a model call that says nothing for too long, or takes too long in all.
///
/// The call marks progress by moving one instant, which costs no timer; a single sleeping task looks at it when it could have passed.
final class CallWatchdog: Sendable {
    private struct State {
        /// nil while the call waits for its own side (a slow reader, the pause before a retry).
        var lastProgress: ContinuousClock.Instant?
        var hasEmitted = false
    }

    private let state: Mutex<State>
    private let idleTimeout: Duration
    private let totalTimeout: Duration
    let deadline: ContinuousClock.Instant

    init(idleTimeout: Duration, totalTimeout: Duration) {
        let now = ContinuousClock.now
        self.idleTimeout = idleTimeout
        self.totalTimeout = totalTimeout
        deadline = now.advanced(by: totalTimeout)
        state = Mutex(State(lastProgress: now))
    }

    var hasEmitted: Bool { state.withLock { $0.hasEmitted } }

    /// The server is waited for from now on.
    func resume() {
        let now = ContinuousClock.now
        state.withLock { $0.lastProgress = now }
    }

    func pause(emitting: Bool = false) {
        state.withLock {
            $0.lastProgress = nil
            if emitting { $0.hasEmitted = true }
        }
    }

    /// Runs `operation`, and cancels it when a time is over; the error is then `.timeout`.
    func guarding<Value: Sendable>(_ operation: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask(operation: operation)
            group.addTask { throw try await self.expiry() }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    private func expiry() async throws -> ModelError {
        while true {
            let now = ContinuousClock.now
            let lastProgress = state.withLock { $0.lastProgress }
            if now >= deadline {
                return error("The model call took longer than \(totalTimeout).", detail: "total timeout", isRetryable: false)
            }
            // While paused the clock stands: silence cannot be over before one idle timeout from now.
            let silenceEnds = (lastProgress ?? now).advanced(by: idleTimeout)
            if now >= silenceEnds {
                return error("The model provider sent nothing for \(idleTimeout).", detail: "idle timeout", isRetryable: true)
            }
            try await Task.sleep(until: min(silenceEnds, deadline))
        }
    }

    private func error(_ message: String, detail: String, isRetryable: Bool) -> ModelError {
        ModelError(code: .timeout, publicMessage: message, internalDetail: detail, isRetryable: isRetryable, hasEmitted: hasEmitted)
    }
}
