import Synchronization

/// One caller that waits. Reply, timeout, loss and cancellation race; the first wins and the continuation is resumed once.
final class Waiter: Sendable {
    typealias Outcome = Result<Replies, RedisError>

    enum Replies: Sendable {
        case one(RedisValue)
        case many([RedisValue])
    }

    private enum State {
        case idle
        case waiting(UnsafeContinuation<Outcome, Never>)
        case finished(Outcome?)
    }

    private let state = Mutex(State.idle)

    /// false: finished already (cancelled before it began); the continuation was resumed and nothing must be sent.
    func begin(_ continuation: UnsafeContinuation<Outcome, Never>) -> Bool {
        let early = state.withLock { state -> Outcome? in
            if case .finished(let outcome) = state { return outcome }
            state = .waiting(continuation)
            return nil
        }
        guard let early else { return true }
        continuation.resume(returning: early)
        return false
    }

    func finish(_ outcome: Outcome) {
        let continuation = state.withLock { state -> UnsafeContinuation<Outcome, Never>? in
            switch state {
            case .finished: return nil
            case .idle:
                state = .finished(outcome)
                return nil
            case .waiting(let continuation):
                state = .finished(nil)
                return continuation
            }
        }
        continuation?.resume(returning: outcome)
    }

    /// The command may be on its way, unless the waiter had not begun.
    func cancel() {
        let continuation = state.withLock { state -> UnsafeContinuation<Outcome, Never>? in
            switch state {
            case .finished: return nil
            case .idle:
                state = .finished(.failure(Self.canceled(mayHaveRun: false)))
                return nil
            case .waiting(let continuation):
                state = .finished(nil)
                return continuation
            }
        }
        continuation?.resume(returning: .failure(Self.canceled(mayHaveRun: true)))
    }

    static func canceled(mayHaveRun: Bool) -> RedisError {
        RedisError(code: .canceled, message: "the waiting task was cancelled", mayHaveRun: mayHaveRun)
    }
}

/// The place of one caller's commands in the order of replies. It stays when the caller has left, so that replies keep their owners.
struct Slot: Sendable {
    /// nil: nobody wants the replies.
    var waiter: Waiter?
    var replies: Int
    /// `pipeline` gets an array and error replies as values.
    var isPipeline = false
}
