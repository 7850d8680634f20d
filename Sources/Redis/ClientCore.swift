import Logging
import NIOCore
import Synchronization

/// The client's part that lives on the connection: outbox under a lock for callers of any thread, wire and timer on the event loop.
// @unchecked: all `var`s are touched on the supervisor's event loop alone; `outbox` has its lock.
final class ClientCore: ConnectionOwner, @unchecked Sendable {
    private struct Shared {
        var outbox: Outbox
        var connections = 0
    }

    private static let spareBufferLimit = 256 << 10
    private static let spareSlotLimit = 4096

    private let shared: Mutex<Shared>
    private let supervisor: Supervisor
    private let logger: Logger
    private let commandTimeout: TimeAmount
    private let connectTimeout: TimeAmount

    private var channel: (any Channel)?
    private var wire = Wire()
    /// Empty between reads; keeps its capacity.
    private var completed: [(Waiter, Waiter.Outcome)] = []
    private var timer: Scheduled<Void>?
    private var unwritten = CircularBuffer<ByteBuffer>()
    private var spareBuffer: ByteBuffer?
    private var spareSlots: [Slot] = []

    private var eventLoop: any EventLoop { supervisor.eventLoop }

    init(_ configuration: RedisConfiguration, supervisor: Supervisor, logger: Logger) {
        shared = Mutex(Shared(outbox: Outbox(configuration)))
        self.supervisor = supervisor
        self.logger = logger
        commandTimeout = .milliseconds(Int64(max(1, configuration.commandTimeoutMilliseconds)))
        connectTimeout = .milliseconds(Int64(max(1, configuration.connectTimeoutMilliseconds)))
    }

    var statistics: RedisStatistics {
        shared.withLock { shared in
            let isConnected = if case .up = shared.outbox.phase { true } else { false }
            return RedisStatistics(
                isConnected: isConnected, connections: shared.connections, unansweredCommands: shared.outbox.unanswered,
                unwrittenBytes: shared.outbox.unwrittenBytes)
        }
    }

    // MARK: any thread

    func enqueue(_ command: RedisCommand, _ slot: Slot) -> RedisError? {
        act(on: shared.withLock { $0.outbox.add(command, slot, mayWait: true) })
    }

    func enqueue(_ commands: [RedisCommand], _ slot: Slot) -> RedisError? {
        act(on: shared.withLock { $0.outbox.add(commands, slot, mayWait: true) })
    }

    func post(_ commands: [RedisCommand]) -> RedisError? {
        let slot = Slot(waiter: nil, replies: commands.count)
        return act(on: shared.withLock { $0.outbox.add(commands, slot, mayWait: false) })
    }

    private func act(on admission: Outbox.Admission) -> RedisError? {
        switch admission {
        case .refused(let error): return error
        case .gathered: break
        case .flushNeeded: eventLoop.execute { self.flush() }
        case .firstToWait:
            // Nobody may run the client yet, so the wait ends by itself.
            eventLoop.scheduleTask(in: connectTimeout) {
                let error = RedisError(code: .connection, message: "no connection within the time given")
                self.fail(self.shared.withLock { $0.outbox.endWait(error) }, error)
            }
        }
        return nil
    }

    func shutDown() {
        shared.withLock { $0.outbox.shutDown() }
        eventLoop.execute { self.disconnected(RedisError(code: .shutDown, message: "the client is shut down")) }
    }

    // MARK: event loop

    func connected(_ channel: any Channel) {
        self.channel = channel
        shared.withLock {
            $0.outbox.connected()
            $0.connections += 1
        }
        flush()
    }

    private func flush() {
        guard let channel else { return }
        // Made outside the lock, which every caller wants, and from used memory: an allocation of this size makes malloc tidy up each tick.
        let next = Outbox.Gathered(buffer: spareBuffer ?? channel.allocator.buffer(capacity: 8192), slots: spareSlots)
        spareBuffer = nil
        spareSlots = []
        guard var gathered = shared.withLock({ $0.outbox.take(leaving: next) }) else { return }
        wire.append(gathered.slots, at: .now())
        gathered.slots.removeAll(keepingCapacity: gathered.slots.count <= Self.spareSlotLimit)
        spareSlots = gathered.slots
        unwritten.append(gathered.buffer)
        channel.writeAndFlush(gathered.buffer).whenComplete { _ in self.wrote() }
        if timer == nil { startTimer() }
    }

    /// Writes end in their order, failed ones too.
    private func wrote() {
        guard var buffer = unwritten.popFirst() else { return }
        shared.withLock { $0.outbox.wrote(buffer.readableBytes) }
        guard buffer.capacity <= Self.spareBufferLimit else { return }
        buffer.clear()
        spareBuffer = buffer
    }

    /// Room in the queue first, then the callers: one that sends again at once must find it.
    func received(_ replies: [RedisValue]) throws(RedisError) {
        var completed = self.completed
        self.completed = []
        let surplus = wire.received(replies, completed: &completed)
        shared.withLock { $0.outbox.answered(replies.count - surplus) }
        for (waiter, outcome) in completed { waiter.finish(outcome) }
        completed.removeAll(keepingCapacity: true)
        self.completed = completed
        if surplus > 0 { throw RedisError(code: .protocolViolation, message: "a reply that no command asked for") }
    }

    func disconnected(_ error: RedisError) {
        channel = nil
        timer?.cancel()
        timer = nil
        let onWire = wire.takeAll()
        let neverSent = shared.withLock { shared in
            for slot in onWire { shared.outbox.answered(slot.replies) }
            return shared.outbox.disconnected(error.asLoss(mayHaveRun: false))
        }
        fail(onWire, error.asLoss(mayHaveRun: true))
        fail(neverSent, error.asLoss(mayHaveRun: false))
    }

    private func fail(_ slots: [Slot], _ error: RedisError) {
        for slot in slots { slot.waiter?.finish(.failure(error)) }
    }

    // MARK: timeouts

    /// One timer for all: replies keep the order of sending, so only the oldest can be overdue next.
    private func startTimer() {
        guard let oldest = wire.oldest else { return }
        let dead = oldest + commandTimeout + commandTimeout
        let next = wire.oldestWaiting.map { min($0 + commandTimeout, dead) } ?? dead
        // Not more often than each 5 ms, whatever the spread of the commands.
        timer = eventLoop.scheduleTask(deadline: max(next, .now() + .milliseconds(5))) {
            self.timer = nil
            self.checkTimeouts()
        }
    }

    private func checkTimeouts() {
        let now = NIODeadline.now()
        let expired = wire.expire(sentBefore: now - commandTimeout)
        let error = RedisError(
            code: .timeout, message: "no reply within \(commandTimeout.nanoseconds / 1_000_000) ms", mayHaveRun: true)
        for waiter in expired { waiter.finish(.failure(error)) }
        if let oldest = wire.oldest, oldest <= now - commandTimeout - commandTimeout {
            supervisor.drop(RedisError(code: .connection, message: "the server does not answer"))
        } else {
            startTimer()
        }
    }
}
