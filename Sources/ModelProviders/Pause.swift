import NIOCore
import NIOPosix

/// Sleeps by a timer of the event loop that the task runs on, where it runs on one: that costs no other thread a wake-up, and `Task.sleep`
/// costs two.
enum Pause {
    static func until(_ deadline: ContinuousClock.Instant) async throws {
        guard let loop = MultiThreadedEventLoopGroup.currentEventLoop else { return try await Task.sleep(until: deadline) }
        try Task.checkCancellation()
        let delay = (deadline - .now).components
        guard delay.seconds >= 0, delay.attoseconds > 0 || delay.seconds > 0 else { return }
        let timer = loop.scheduleTask(in: .seconds(delay.seconds) + .nanoseconds(delay.attoseconds / 1_000_000_000)) {}
        do {
            try await withTaskCancellationHandler {
                try await timer.futureResult.get()
            } onCancel: {
                timer.cancel()
            }
        } catch EventLoopError.cancelled { throw CancellationError() }
    }
}
