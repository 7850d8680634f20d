import Domain
import JSON
import NIOCore
import Redis
import Storage
import TestSupport
import Testing

struct RunStreamTests {
    private func frames(_ run: RunID, _ seqs: some Sequence<Int64>, end: Int64? = nil) -> [RunFrame] {
        seqs.map { seq in
            RunFrame(
                RunEvent(
                    seq: seq, type: seq == end ? .runCompleted : .assistantDelta, time: .now(), claimNumber: 1,
                    data: RawJSON.object { $0.field("text", string: "line\nbreak \(seq)") }),
                of: run)
        }
    }

    private func connected() async throws -> (TestEnvironment, RunStream) {
        let environment = try await TestEnvironment.start()
        #expect(await eventually { environment.redis.isConnected })
        return (environment, RunStream(environment.redis))
    }

    private func equal(_ left: [RunFrame]?, _ right: [RunFrame]) -> Bool {
        left?.map(\.seq) == right.map(\.seq) && left?.map(\.envelope) == right.map(\.envelope)
            && left?.map(\.isTerminal) == right.map(\.isTerminal)
    }

    @Test func `what was published is read back behind any cursor`() async throws {
        let (environment, stream) = try await connected()
        let run = RunID.generate()
        let all = frames(run, 1...10, end: 10)
        stream.publish(Array(all[..<4]), of: run)
        stream.publish(Array(all[4...]), of: run)
        #expect(equal(await stream.read(run, after: 0, limit: 100), all))
        #expect(equal(await stream.read(run, after: 7, limit: 100), Array(all[7...])))
        #expect(equal(await stream.read(run, after: 2, limit: 3), Array(all[2..<5])))
        #expect(await stream.read(run, after: 10, limit: 100) == nil)
        #expect(await stream.read(run, after: .max, limit: 100) == nil)
        #expect(await stream.read(.generate(), after: 0, limit: 100) == nil)
        let lifetime = try await environment.redis.send(RedisCommand("TTL", RedisKeys.stream(run))).int ?? 0
        #expect((1...Limits.hotWindowSeconds).contains(lifetime))
    }

    @Test func `a read ends before a hole`() async throws {
        let (_, stream) = try await connected()
        let run = RunID.generate()
        stream.publish(frames(run, [1, 2, 3]), of: run)
        stream.publish(frames(run, [5, 6]), of: run)
        #expect(await stream.read(run, after: 0, limit: 100)?.map(\.seq) == [1, 2, 3])
        #expect(await stream.read(run, after: 3, limit: 100) == nil)
        #expect(await stream.read(run, after: 4, limit: 100)?.map(\.seq) == [5, 6])
        // The late one is refused by the stream: the hole stays, and Postgres fills it.
        stream.publish(frames(run, [4]), of: run)
        #expect(await stream.read(run, after: 0, limit: 100)?.map(\.seq) == [1, 2, 3])
    }

    @Test func `the window forgets the oldest, and then has nothing for their cursor`() async throws {
        let (environment, stream) = try await connected()
        let run = RunID.generate()
        let count = Int64(Limits.hotWindowEvents + 1000)
        for start in stride(from: Int64(1), through: count, by: 100) {
            stream.publish(frames(run, start...min(start + 99, count)), of: run)
        }
        let length = try await environment.redis.send(RedisCommand("XLEN", RedisKeys.stream(run))).int ?? 0
        #expect((Limits.hotWindowEvents..<Limits.hotWindowEvents + 200).contains(length))
        #expect(await stream.read(run, after: 0, limit: 10) == nil)
        #expect(await stream.read(run, after: count - 5, limit: 10)?.map(\.seq) == Array(count - 4...count))
    }

    @Test func `a notice carries the very frames, and a malformed rest is left out`() async throws {
        let (environment, stream) = try await connected()
        let run = RunID.generate()
        let sent = frames(run, 1...3, end: 3)
        let (messages, feed) = AsyncStream.makeStream(of: ByteBuffer?.self, bufferingPolicy: .bufferingNewest(8))
        let subscription = environment.subscriber.subscribe(RedisKeys.notify(run)) { push in
            switch push {
            case .subscribed: feed.yield(nil)
            case .message(let bytes): feed.yield(bytes)
            case .disconnected: break
            }
        }
        defer { subscription.cancel() }
        var iterator = messages.makeAsyncIterator()
        // The confirmation, then the notice.
        let confirmation = try #require(await iterator.next())
        #expect(confirmation == nil)
        stream.publish(sent, of: run)
        let message = try #require(await iterator.next())
        let notice = try #require(message)
        for known in 0...2 {
            let heard = try #require(RunStream.decode(notice, after: Int64(known)))
            #expect(equal(heard, Array(sent.dropFirst(known))))
        }
        #expect(RunStream.decode(notice, after: 3)?.isEmpty == true)

        var cut = notice
        #expect(RunStream.decode(cut.readSlice(length: notice.readableBytes - 1) ?? ByteBuffer(), after: 0)?.map(\.seq) == [1, 2])
        for text in ["", "\n", "5", "x\n5 e {}\n", "9999999999999999999\n5 e {}\n", "-5\n5 e {}\n", "5 e {}\n"] {
            #expect(RunStream.decode(ByteBuffer(string: text), after: 4) == nil, "\(text)")
        }
        #expect(RunStream.decode(ByteBuffer(string: "4\n5 e {}\n"), after: 4)?.isEmpty == true)
        for text in ["", "\n", "x e {}\n", "5\n", "5 e\n", "99999999999999999999 e {}\n", " e {}\n", "5 e {}"] {
            #expect(RunStream.decode(ByteBuffer(string: "9\n" + text), after: 0)?.isEmpty == true, "\(text)")
        }
        #expect(RunStream.decode(ByteBuffer(string: "7\n7 t {}\nrubbish"), after: 0)?.map(\.seq) == [7])
    }

    @Test func `waking is a message on the worker's and the queue's channel`() async throws {
        let (environment, _) = try await connected()
        let worker = ReplicaID.generate()
        let run = RunID.generate()
        let (messages, feed) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(8))
        let subscription = environment.subscriber.subscribe(RedisKeys.workerNotify(worker)) { push in
            switch push {
            case .subscribed: feed.yield("subscribed")
            case .message(let bytes): feed.yield(String(buffer: bytes))
            case .disconnected: break
            }
        }
        defer { subscription.cancel() }
        var iterator = messages.makeAsyncIterator()
        #expect(await iterator.next() == "subscribed")
        Wakeups(environment.redis).runWritten(run, worker: worker)
        #expect(await iterator.next() == run.description)
    }
}
