import CLinux
import Glibc

/// Threads of its own with a bounded queue: a hash takes tens of milliseconds, which must not hold up Swift's concurrency threads.
// @unchecked Sendable: `jobs` and `isShutDown` are only touched with `mutex` held; the rest never changes after init.
final class WorkerPool: @unchecked Sendable {
    /// Runs with false when the pool was shut down before its turn came. Called exactly once.
    typealias Job = @Sendable (_ mayRun: Bool) -> Void

    enum Refusal: Error {
        case full, shutDown
    }

    /// Where cores are short, what serves requests runs before what hashes: who sends wrong keys slows hashes down, not answers.
    static let nice: Int32 = 10

    private let maxQueued: Int
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let wakeUp: UnsafeMutablePointer<pthread_cond_t>
    private var jobs: [Job] = []
    private var firstJob = 0
    private var isShutDown = false

    init(threads: Int, maxQueued: Int) {
        self.maxQueued = max(1, maxQueued)
        mutex = .allocate(capacity: 1)
        wakeUp = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
        for _ in 0..<max(1, threads) { startThread() }
    }

    /// Each thread holds the pool, so by now none is left and nobody waits.
    deinit {
        pthread_cond_destroy(wakeUp)
        pthread_mutex_destroy(mutex)
        wakeUp.deallocate()
        mutex.deallocate()
    }

    var queuedCount: Int { locked { jobs.count - firstJob } }

    /// Never waits. What is running does not count as queued.
    func submit(_ job: @escaping Job) -> Refusal? {
        locked {
            if isShutDown { return .shutDown }
            if jobs.count - firstJob >= maxQueued { return .full }
            jobs.append(job)
            pthread_cond_signal(wakeUp)
            return nil
        }
    }

    /// Answers the queued at once; the threads end after what they are running.
    func shutDown() {
        let left = locked {
            isShutDown = true
            let left = jobs[firstJob...]
            jobs = []
            firstJob = 0
            pthread_cond_broadcast(wakeUp)
            return left
        }
        for job in left { job(false) }
    }

    private func startThread() {
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let retained = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let pool = Unmanaged<WorkerPool>.fromOpaque(argument).takeRetainedValue()
                clinux_set_thread_name("argon2")
                // A kernel that refuses it loses nothing but the order.
                _ = clinux_set_thread_nice(max(WorkerPool.nice, clinux_thread_nice()))
                pool.work()
                return nil
            }, retained.toOpaque())
        pthread_attr_destroy(&attributes)
        // At start only, and a pool without threads would leave its callers waiting for ever.
        precondition(status == 0, "cannot start a thread: error \(status)")
    }

    private func work() {
        while let job = next() { job(true) }
    }

    private func next() -> Job? {
        locked {
            while firstJob == jobs.count {
                if isShutDown { return nil }
                pthread_cond_wait(wakeUp, mutex)
            }
            let job = jobs[firstJob]
            firstJob += 1
            // Taken ones are dropped in one go, so that taking costs the same however many wait.
            if firstJob == jobs.count || firstJob >= 64 {
                jobs.removeFirst(firstJob)
                firstJob = 0
            }
            return job
        }
    }

    private func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}
