public import NIOCore
import NIOPosix

/// Runs a task, its child tasks and the default actors it calls on one event loop: what such a task awaits of that loop, or hands to it,
/// costs no other thread's wake-up, which is what a short request costs most (docs/decisions/0016).
///
/// Code that runs here must not block; work that takes milliseconds belongs on a thread of its own.
public final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    public init(_ loop: any EventLoop) { self.loop = loop }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Whatever else waits for the loop of this task comes first. Without a loop, as `Task.yield()`, which goes by way of another thread.
    static func yield() async {
        guard let loop = MultiThreadedEventLoopGroup.currentEventLoop else { return await Task.yield() }
        await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
    }
}
