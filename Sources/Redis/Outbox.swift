import NIOCore

/// Commands gathered for the next tick, and the bounds. A value: it decides, its owner acts outside the lock.
struct Outbox: Sendable {
    enum Phase: Sendable {
        /// Before the end of the first attempt to connect: commands gather.
        case starting
        case up
        case down(RedisError)
        case shutDown
    }

    enum Admission {
        case refused(RedisError)
        /// The flush is on its way, or the first connect will make it.
        case gathered
        case flushNeeded
        /// The first that waits for the first connect, whose wait needs an end.
        case firstToWait
    }

    /// Encoded commands and whom their replies belong to.
    struct Gathered: Sendable {
        var buffer: ByteBuffer
        var slots: [Slot] = []
    }

    private(set) var phase = Phase.starting
    private(set) var unanswered = 0
    private(set) var unwrittenBytes = 0
    private var gathered = Gathered(buffer: ByteBuffer())
    private var isFlushScheduled = false
    private var hasWaitTimer = false

    let maxCommands: Int
    let maxBytes: Int

    init(_ configuration: RedisConfiguration) {
        maxCommands = configuration.maxQueuedCommands
        maxBytes = configuration.maxQueuedBytes
    }

    mutating func add(_ command: RedisCommand, _ slot: Slot, mayWait: Bool) -> Admission {
        if let refusal = refusal(commands: 1, bytes: command.byteCount, mayWait: mayWait) { return .refused(refusal) }
        let before = gathered.buffer.readableBytes
        command.write(into: &gathered.buffer)
        return added(slot, bytes: gathered.buffer.readableBytes - before)
    }

    mutating func add(_ commands: [RedisCommand], _ slot: Slot, mayWait: Bool) -> Admission {
        let bytes = commands.reduce(0) { $0 + $1.byteCount }
        if let refusal = refusal(commands: commands.count, bytes: bytes, mayWait: mayWait) { return .refused(refusal) }
        let before = gathered.buffer.readableBytes
        for command in commands { command.write(into: &gathered.buffer) }
        return added(slot, bytes: gathered.buffer.readableBytes - before)
    }

    private func refusal(commands: Int, bytes: Int, mayWait: Bool) -> RedisError? {
        switch phase {
        case .up: break
        case .starting where mayWait: break
        case .starting: return RedisError(code: .connection, message: "not connected yet")
        case .down(let error): return error
        case .shutDown: return RedisError(code: .shutDown, message: "the client is shut down")
        }
        guard unanswered + commands <= maxCommands else {
            return RedisError(code: .queueFull, message: "\(unanswered) commands wait for replies, the bound is \(maxCommands)")
        }
        guard unwrittenBytes + bytes <= maxBytes else {
            return RedisError(
                code: .queueFull, message: "\(unwrittenBytes) bytes wait for the socket, \(bytes) more would pass the bound of \(maxBytes)")
        }
        return nil
    }

    private mutating func added(_ slot: Slot, bytes: Int) -> Admission {
        gathered.slots.append(slot)
        unanswered += slot.replies
        unwrittenBytes += bytes
        if case .starting = phase {
            defer { hasWaitTimer = true }
            return hasWaitTimer ? .gathered : .firstToWait
        }
        if isFlushScheduled { return .gathered }
        isFlushScheduled = true
        return .flushNeeded
    }

    /// What gathered, `next` in its place; nil when there is no connection to write it to.
    mutating func take(leaving next: Gathered) -> Gathered? {
        isFlushScheduled = false
        guard case .up = phase, !gathered.slots.isEmpty else { return nil }
        defer { gathered = next }
        return gathered
    }

    mutating func wrote(_ bytes: Int) { unwrittenBytes -= bytes }
    mutating func answered(_ replies: Int) { unanswered -= replies }

    mutating func connected() {
        if case .shutDown = phase { return }
        phase = .up
    }

    /// Gives back what never left.
    mutating func disconnected(_ error: RedisError) -> [Slot] {
        if case .shutDown = phase {} else { phase = .down(error) }
        unwrittenBytes -= gathered.buffer.readableBytes
        for slot in gathered.slots { unanswered -= slot.replies }
        defer { gathered = Gathered(buffer: ByteBuffer()) }
        return gathered.slots
    }

    mutating func shutDown() { phase = .shutDown }

    /// The first connect took too long, or nobody runs the client.
    mutating func endWait(_ error: RedisError) -> [Slot] {
        guard case .starting = phase else { return [] }
        return disconnected(error)
    }
}
