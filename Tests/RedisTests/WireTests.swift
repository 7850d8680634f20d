import NIOCore
import Testing

@testable import Redis

@Suite("The order of replies")
struct WireTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func names(_ completed: [(Waiter, Waiter.Outcome)], of waiters: [Waiter]) -> [Int?] {
        completed.map { entry in waiters.firstIndex { $0 === entry.0 } }
    }

    @Test("slots of callers that left, and of commands that wanted no reply, swallow exactly their own replies")
    func slotsStay() throws {
        var wire = Wire()
        let waiters = (0..<3).map { _ in Waiter() }
        wire.append([Slot(waiter: waiters[0], replies: 1), Slot(waiter: waiters[1], replies: 2, isPipeline: true)], at: start)
        wire.append([Slot(waiter: nil, replies: 2), Slot(waiter: waiters[2], replies: 1)], at: start + .seconds(1))
        var completed: [(Waiter, Waiter.Outcome)] = []
        #expect(wire.expire(sentBefore: start).map { waiter in waiters.firstIndex { $0 === waiter } } == [0, 1])
        #expect(wire.expire(sentBefore: start).isEmpty)
        #expect(wire.oldest == start)
        #expect(wire.oldestWaiting == start + .seconds(1))
        let surplus = wire.received((0..<5).map { .int($0) }, completed: &completed)
        #expect(surplus == 0)
        #expect(completed.isEmpty)
        let rest = wire.received([.int(5), .int(6)], completed: &completed)
        #expect(rest == 1)
        #expect(names(completed, of: waiters) == [2])
        guard case .success(.one(.int(5)))? = completed.first?.1 else {
            Issue.record("another caller's reply")
            return
        }
        #expect(wire.oldest == nil)
    }

    @Test("a pipeline given up half way leaves nothing behind for the next")
    func halfPipeline() throws {
        var wire = Wire()
        let waiters = (0..<2).map { _ in Waiter() }
        wire.append([Slot(waiter: waiters[0], replies: 3, isPipeline: true)], at: start)
        wire.append([Slot(waiter: waiters[1], replies: 2, isPipeline: true)], at: start + .seconds(1))
        var completed: [(Waiter, Waiter.Outcome)] = []
        _ = wire.received([.int(1)], completed: &completed)
        #expect(wire.expire(sentBefore: start).count == 1)
        _ = wire.received([.int(2), .int(3), .int(4), .error("ERR five")], completed: &completed)
        #expect(names(completed, of: waiters) == [1])
        guard case .success(.many(let values))? = completed.first?.1 else {
            Issue.record("no reply")
            return
        }
        #expect(values == [.int(4), .error("ERR five")])
    }

    @Test("what never left is told apart from what may have run, and the bounds are given back")
    func outbox() throws {
        var configuration = try RedisConfiguration(url: "redis://localhost")
        configuration.maxQueuedCommands = 3
        var outbox = Outbox(configuration)
        let slot = Slot(waiter: Waiter(), replies: 1)
        guard case .firstToWait = outbox.add(RedisCommand("PING"), slot, mayWait: true),
            case .gathered = outbox.add(RedisCommand("PING"), slot, mayWait: true),
            case .refused(let early) = outbox.add(RedisCommand("PING"), slot, mayWait: false)
        else {
            Issue.record("the first connect is not waited for")
            return
        }
        #expect(early.code == .connection)
        outbox.connected()
        let taken = outbox.take(leaving: Outbox.Gathered(buffer: ByteBuffer()))
        #expect(taken?.slots.count == 2)
        #expect(taken.map { String(buffer: $0.buffer) } == "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n")
        guard case .flushNeeded = outbox.add(RedisCommand("PING"), slot, mayWait: true),
            case .refused(let full) = outbox.add(RedisCommand("PING"), slot, mayWait: true)
        else {
            Issue.record("the bound is not kept")
            return
        }
        #expect(full.code == .queueFull)
        let neverSent = outbox.disconnected(RedisError(code: .connection, message: "lost"))
        #expect(neverSent.count == 1)
        outbox.answered(2)
        outbox.wrote(taken?.buffer.readableBytes ?? 0)
        #expect(outbox.unanswered == 0)
        #expect(outbox.unwrittenBytes == 0)
    }
}
