public import NIOCore
import NIOPosix
import Synchronization

/// Runs a task, its child tasks and the default actors it calls on one event loop: what such a task awaits of that loop, or hands to it,
/// costs no other thread's wake-up, which is what a short request costs most (docs/decisions/0016).
///
/// The jobs of a loop have a queue of their own, which the loop is asked to empty: a job costs a place in an array, where a task of the
/// loop costs a closure, a lock and several copies, and a request has dozens of jobs.
///
/// Code that runs here must not block; work that takes milliseconds belongs on a thread of its own.
public final class LoopExecutor: TaskExecutor {
    private struct Jobs {
        var waiting: [UnownedJob] = []
        /// The used memory of the turn before, empty.
        var spare: [UnownedJob] = []
        /// The loop empties the queue, or has been asked to.
        var isUnderWay = false
    }

    /// As long as new jobs come of those that ran, so often before sockets have their turn.
    private static let roundsPerTurn = 64
    /// A loop carries out what it was asked to before it looks at its sockets, however much comes after; a timer lets it look.
    private static let pause = TimeAmount.microseconds(20)
    private static let keptCapacity = 1024

    private let loop: any EventLoop
    private let jobs = Mutex(Jobs())

    public init(_ loop: any EventLoop) { self.loop = loop }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = jobs.withLock { jobs in
            jobs.waiting.append(job)
            defer { jobs.isUnderWay = true }
            return !jobs.isUnderWay
        }
        if isFirst { loop.execute { self.run() } }
    }

    private func run() {
        var batch: [UnownedJob] = []
        for _ in 0..<Self.roundsPerTurn {
            let isOver = jobs.withLock { jobs in
                jobs.isUnderWay = !jobs.waiting.isEmpty
                guard jobs.isUnderWay else {
                    if batch.capacity <= Self.keptCapacity { swap(&jobs.spare, &batch) }
                    return true
                }
                if batch.capacity == 0 { swap(&jobs.spare, &batch) }
                swap(&jobs.waiting, &batch)
                return false
            }
            if isOver { return }
            for job in batch { job.runSynchronously(on: asUnownedTaskExecutor()) }
            batch.removeAll(keepingCapacity: true)
        }
        loop.scheduleTask(in: Self.pause) { self.run() }
    }

    /// Whatever else waits for the loop of this task comes first. Without a loop, as `Task.yield()`, which goes by way of another thread.
    static func yield() async {
        guard let loop = MultiThreadedEventLoopGroup.currentEventLoop else { return await Task.yield() }
        await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
    }
}

/// One executor for each loop of a group.
public struct LoopExecutors: Sendable {
    private let group: any EventLoopGroup
    private let byLoop: [ObjectIdentifier: LoopExecutor]

    public init(_ group: any EventLoopGroup) {
        self.group = group
        byLoop = Dictionary(group.makeIterator().map { (ObjectIdentifier($0), LoopExecutor($0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// That of a loop of another group is a new one, which is right as well and shares no queue.
    public func of(_ loop: any EventLoop) -> LoopExecutor { byLoop[ObjectIdentifier(loop)] ?? LoopExecutor(loop) }

    /// The group's next loop in turn.
    public func next() -> LoopExecutor { of(group.next()) }
}
