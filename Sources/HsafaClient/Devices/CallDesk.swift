import Synchronization

/// The calls that a device has taken and not finished: queued, running, or canceled before they began.
final class CallDesk: Sendable {
    private enum Phase {
        case queued
        case canceled(reason: String)
        case running(Task<ToolOutcome, Never>)
    }

    enum Submission { case accepted, known, full }

    private let phases = Mutex<[String: Phase]>([:])
    private let capacity: Int
    private let continuation: AsyncStream<DeviceToolCall>.Continuation
    /// Read by one task.
    let calls: AsyncStream<DeviceToolCall>

    /// - Parameter capacity: calls that wait and run, together.
    init(capacity: Int) {
        self.capacity = capacity
        // `phases` bounds what is in the stream.
        (calls, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(capacity))
    }

    func submit(_ call: DeviceToolCall) -> Submission {
        let submission = phases.withLock { phases -> Submission in
            guard phases[call.callId] == nil else { return .known }
            guard phases.count < capacity else { return .full }
            phases[call.callId] = .queued
            return .accepted
        }
        if submission == .accepted { continuation.yield(call) }
        return submission
    }

    /// Starts the call's work, unless it was canceled while it waited.
    func begin(_ callId: String, _ work: @escaping @Sendable () async -> ToolOutcome) -> Task<ToolOutcome, Never> {
        phases.withLock { phases in
            if case .canceled(let reason) = phases[callId] {
                return Task { Self.canceled(reason) }
            }
            // Owned by the caller, who awaits it; held here so that one call can be canceled alone.
            let task = Task { await work() }
            phases[callId] = .running(task)
            return task
        }
    }

    func end(_ callId: String) {
        _ = phases.withLock { $0.removeValue(forKey: callId) }
    }

    /// False: no such call is under way.
    func cancel(_ callId: String, reason: String) -> Bool {
        phases.withLock { phases in
            switch phases[callId] {
            case nil: return false
            case .running(let task): task.cancel()
            case .queued, .canceled: phases[callId] = .canceled(reason: reason)
            }
            return true
        }
    }

    func finish() { continuation.finish() }

    private static func canceled(_ reason: String) -> ToolOutcome {
        .error(code: "canceled", message: "The call was canceled before it began: \(reason)")
    }
}
