import CLinux
import Glibc
import Synchronization

/// One thread with one epoll set and one eventfd. It is a SerialExecutor, so an actor can live on it, and an event loop:
/// descriptors that are ready go to `onReady`, and `onTick` runs once a turn.
// All state that several threads touch is inside `shared` or atomic; `onReady` and `onTick` are set before `start`, read by the thread only.
final class ReactorExecutor: SerialExecutor, @unchecked Sendable {
    private struct Shared {
        var jobs: [UnownedJob] = []
        /// Somebody put something into a mailbox since the last turn began.
        var poked = false
        /// The thread is not (or will not stay) in epoll_wait: nobody needs to write the eventfd.
        var awake = true
        var stopped = false
    }

    private let shared = Mutex(Shared())
    private let epoll: Int32
    private let wakeUp: Int32
    private let thread = Atomic<UInt>(0)

    /// Descriptor and CLINUX_IN/CLINUX_OUT/… bits.
    var onReady: (Int32, UInt32) -> Void = { _, _ in }
    /// Returns how many milliseconds the loop may sleep; -1 is without end.
    var onTick: () -> Int32 = { -1 }

    init() throws(PostgresError) {
        epoll = clinux_epoll_create()
        wakeUp = clinux_eventfd()
        guard epoll >= 0, wakeUp >= 0, clinux_epoll_control(epoll, 1, wakeUp, UInt32(CLINUX_IN)) == 0 else {
            let reason = String(cString: strerror(errno))
            if epoll >= 0 { close(epoll) }
            if wakeUp >= 0 { close(wakeUp) }
            throw PostgresError(.configuration, "no epoll set or eventfd: \(reason)")
        }
    }

    // The thread holds `self` while it runs, so nobody waits on these any more.
    deinit {
        close(epoll)
        close(wakeUp)
    }

    /// The thread keeps the executor alive until `stop()`.
    func start(name: StaticString) throws(PostgresError) {
        let retained = Unmanaged.passRetained(self)
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                let reactor = Unmanaged<ReactorExecutor>.fromOpaque(argument).takeRetainedValue()
                reactor.thread.store(UInt(pthread_self()), ordering: .releasing)
                clinux_set_thread_name("postgres")
                reactor.loop()
                // The handlers own what owns this executor.
                reactor.onReady = { _, _ in }
                reactor.onTick = { -1 }
                return nil
            }, retained.toOpaque())
        guard code == 0 else {
            retained.release()
            throw PostgresError(.configuration, "no thread for \(name): \(String(cString: strerror(code)))")
        }
        pthread_detach(handle)
    }

    func watch(_ descriptor: Int32, events: UInt32) { _ = clinux_epoll_control(epoll, 1, descriptor, events) }
    func change(_ descriptor: Int32, events: UInt32) { _ = clinux_epoll_control(epoll, 3, descriptor, events) }
    func unwatch(_ descriptor: Int32) { _ = clinux_epoll_control(epoll, 2, descriptor, 0) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustWake = shared.withLock { shared -> Bool in
            shared.jobs.append(job)
            defer { shared.awake = true }
            return !shared.awake
        }
        if mustWake { wake() }
    }

    /// Something is in a mailbox: a turn that has not looked yet will, or a new one comes.
    func poke() {
        let mustWake = shared.withLock { shared -> Bool in
            shared.poked = true
            defer { shared.awake = true }
            return !shared.awake
        }
        if mustWake { wake() }
    }

    func stop() {
        shared.withLock { $0.stopped = true }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeUp, &one, 8)
    }

    var isOnThread: Bool { thread.load(ordering: .acquiring) == UInt(pthread_self()) }
    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
    func checkIsolated() { precondition(isOnThread, "not on the Postgres reactor thread") }
    func isIsolatingCurrentContext() -> Bool? { isOnThread }

    private func loop() {
        var descriptors = [Int32](repeating: 0, count: 64)
        var events = [UInt32](repeating: 0, count: 64)
        var jobs: [UnownedJob] = []
        let executor = asUnownedSerialExecutor()
        while true {
            var stopped = false
            repeat {
                jobs.removeAll(keepingCapacity: true)
                shared.withLock { shared in
                    swap(&jobs, &shared.jobs)
                    shared.poked = false
                    stopped = shared.stopped
                }
                for job in jobs { job.runSynchronously(on: executor) }
            } while !jobs.isEmpty
            if stopped { return }
            let sleep = onTick()
            // Only who finds `awake` false writes the eventfd; so it may become false only while nothing waits to be seen.
            let idle = shared.withLock { shared -> Bool in
                guard shared.jobs.isEmpty, !shared.poked, !shared.stopped else { return false }
                shared.awake = false
                return true
            }
            let count = clinux_epoll_wait(epoll, &descriptors, &events, 64, idle ? sleep : 0)
            shared.withLock { $0.awake = true }
            guard count > 0 else { continue }
            for index in 0..<Int(count) {
                if descriptors[index] == wakeUp {
                    var value: UInt64 = 0
                    _ = read(wakeUp, &value, 8)
                } else {
                    onReady(descriptors[index], events[index])
                }
            }
        }
    }
}
