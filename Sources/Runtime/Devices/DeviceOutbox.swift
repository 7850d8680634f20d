import Synchronization

/// Frames on their way to one socket, bounded by number and bytes. What finds no room is not lost where it matters: an open call
/// is in Postgres and is found again, a result that was not acknowledged is sent again by its device.
final class DeviceOutbox: Sendable {
    static let maxFrames = 256
    static let maxBytes = 4 << 20

    private struct State {
        var frames: [[UInt8]] = []
        /// `frames[head...]` wait.
        var head = 0
        var bytes = 0
        var isFinished = false
    }

    private let state = Mutex(State())
    private let signal = Signal()

    /// Room for more calls; the last quarter is kept for answers, pings and errors.
    var hasRoomForCalls: Bool {
        state.withLock { !$0.isFinished && $0.frames.count - $0.head < Self.maxFrames * 3 / 4 && $0.bytes < Self.maxBytes / 2 }
    }

    /// false when there is no room, or the session is over.
    @discardableResult
    func offer(_ frame: [UInt8]) -> Bool {
        let isTaken = state.withLock { state -> Bool in
            guard !state.isFinished, state.frames.count - state.head < Self.maxFrames, state.bytes + frame.count <= Self.maxBytes else {
                return false
            }
            state.frames.append(frame)
            state.bytes += frame.count
            return true
        }
        if isTaken { signal.raise() }
        return isTaken
    }

    /// Takes nothing more; `drain` returns when what is there has been sent.
    func finish() {
        state.withLock { $0.isFinished = true }
        signal.close()
    }

    /// Sends in order until `finish`, or until a frame cannot be sent. One caller.
    func drain(_ send: ([UInt8]) async throws -> Void) async throws {
        while !Task.isCancelled {
            while let frame = next() {
                try await send(frame)
                state.withLock { $0.bytes -= frame.count }
            }
            if state.withLock({ $0.isFinished && $0.head == $0.frames.count }) { return }
            await signal.wait()
        }
    }

    private func next() -> [UInt8]? {
        state.withLock { state in
            guard state.head < state.frames.count else {
                state.frames.removeAll(keepingCapacity: true)
                state.head = 0
                return nil
            }
            let frame = state.frames[state.head]
            state.frames[state.head] = []
            state.head += 1
            if state.head > Self.maxFrames {
                state.frames.removeFirst(state.head)
                state.head = 0
            }
            return frame
        }
    }
}
