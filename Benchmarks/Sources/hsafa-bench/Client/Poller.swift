import CLibc
import Glibc

/// What waits on a descriptor. Events are epoll's bits.
protocol PollHandler: AnyObject {
    func ready(_ events: UInt32)
}

/// One epoll for every socket of the load generator: as light as a client can be, since it shares the cores with what it measures.
final class Poller {
    private let epoll: Int32
    private var handlers: [Int32: any PollHandler] = [:]
    private var events = [epoll_event](repeating: epoll_event(), count: 1024)
    /// Every connection reads into this one.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)

    init() throws {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw BenchError("epoll_create1: \(String(cString: strerror(errno)))") }
    }

    func add(_ descriptor: Int32, _ handler: any PollHandler, wantsWrite: Bool) {
        handlers[descriptor] = handler
        control(EPOLL_CTL_ADD, descriptor, wantsWrite: wantsWrite)
    }

    func change(_ descriptor: Int32, wantsWrite: Bool) { control(EPOLL_CTL_MOD, descriptor, wantsWrite: wantsWrite) }

    /// Closes the descriptor too.
    func remove(_ descriptor: Int32) {
        handlers[descriptor] = nil
        close(descriptor)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, wantsWrite: Bool) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (wantsWrite ? EPOLLOUT.rawValue : 0)
        event.data.fd = descriptor
        epoll_ctl(epoll, operation, descriptor, &event)
    }

    /// Serves sockets until `isDone`, or throws when that takes longer than `seconds`.
    func run(_ what: String, seconds: Double, until isDone: () -> Bool) throws {
        let end = Clock.monotonic() + Int64(seconds * 1e9)
        while !isDone() {
            guard Clock.monotonic() < end else { throw BenchError("\(what) took longer than \(Int(seconds)) s") }
            poll(milliseconds: 5)
        }
    }

    /// Serves sockets for a time.
    func run(for seconds: Double) {
        let end = Clock.monotonic() + Int64(seconds * 1e9)
        while true {
            let left = (end - Clock.monotonic()) / 1_000_000
            guard left > 0 else { return }
            poll(milliseconds: Int32(min(left, 50)))
        }
    }

    private func poll(milliseconds: Int32) {
        let count = epoll_wait(epoll, &events, Int32(events.count), milliseconds)
        guard count > 0 else { return }
        for index in 0..<Int(count) { handlers[events[index].data.fd]?.ready(events[index].events) }
    }
}

enum Clock {
    nonisolated static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }
    nonisolated static func realtime() -> Int64 { read(CLOCK_REALTIME) }

    private nonisolated static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

nonisolated struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
