import JSON
import ModelProviders
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Runtime

struct LoopExecutorTests {
    private actor Counter {
        private(set) var loops: [Bool] = []
        func note(_ loop: any EventLoop) { loops.append(loop.inEventLoop) }
    }

    @Test func `a task and its children run on the loop, before and after each wait`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let places = await withTaskExecutorPreference(LoopExecutor(loop)) {
            var places = [loop.inEventLoop]
            try? await Task.sleep(for: .milliseconds(1))
            places.append(loop.inEventLoop)
            return await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<10 { group.addTask { loop.inEventLoop } }
                return await group.reduce(into: places) { $0.append($1) }
            }
        }
        #expect(places == Array(repeating: true, count: 12))
    }

    @Test func `an actor that such a task calls runs on the loop, too`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let counter = Counter()
        await withTaskExecutorPreference(LoopExecutor(loop)) {
            for _ in 0..<10 {
                await counter.note(loop)
                try? await Task.sleep(for: .milliseconds(1))
            }
        }
        let places = await counter.loops
        #expect(places == Array(repeating: true, count: 10))
    }

    private final class Arrival: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let told: @Sendable () -> Void
        init(_ told: @escaping @Sendable () -> Void) { self.told = told }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { told() }
    }

    @Test func `jobs that go on and on leave the loop its sockets and timers`() async throws {
        // A loop of its own: where this fails, the loop would stand still.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let arrived = Atomic(false)
        let isDue = Atomic(false)
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { $0.pipeline.addHandler(Arrival { arrived.store(true, ordering: .releasing) }) }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(to: try #require(server.localAddress))
            .get()
        let rounds = await withTaskExecutorPreference(LoopExecutor(loop)) {
            loop.scheduleTask(in: .milliseconds(1)) { isDue.store(true, ordering: .releasing) }
            client.writeAndFlush(ByteBuffer(string: "here"), promise: nil)
            // Each yield is the next job of the same queue.
            for round in 0..<50_000_000 {
                if arrived.load(ordering: .acquiring), isDue.load(ordering: .acquiring) { return round }
                await Task.yield()
            }
            return Int.max
        }
        #expect(rounds < .max)
        try await client.close()
        try await server.close()
        try await group.shutdownGracefully()
    }

    @Test func `each of many tasks from many threads runs, and on the loop`() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let executor = LoopExecutor(loop)
        let count = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var count = 0
                    for _ in 0..<500 {
                        count += await Task(executorPreference: executor) {
                            await Task.yield()
                            return loop.inEventLoop ? 1 : 0
                        }.value
                    }
                    return count
                }
            }
            return await group.reduce(0, +)
        }
        #expect(count == 4000)
    }

    @Test func `a loop of the group has one executor, whoever asks`() {
        let group = MultiThreadedEventLoopGroup.singleton
        let executors = LoopExecutors(group)
        let loops = Array(group.makeIterator()) as [any EventLoop]
        for loop in loops { #expect(executors.of(loop) === executors.of(loop)) }
        #expect(Set((0..<loops.count).map { _ in ObjectIdentifier(executors.next()) }).count == loops.count)
        let other = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        #expect(loops.allSatisfy { executors.of($0) !== executors.of(other.next()) })
        other.shutdownGracefully { _ in }
    }

    private func request(_ script: StaticString) -> ModelRequest {
        ModelRequest(provider: "simulated", model: "m", messages: [.user("hi")], script: RawJSON(script))
    }

    @Test func `a simulated model keeps its pace on a loop`() async throws {
        let begin = ContinuousClock.now
        let response = try await withTaskExecutorPreference(LoopExecutor(MultiThreadedEventLoopGroup.singleton.next())) {
            try await SimulatedModel().perform(
                request(#"{"steps":[{"initialDelayMilliseconds":20,"delayMilliseconds":10,"deltas":{"count":5,"text":"a"}}]}"#)
            ) { _ in }
        }
        #expect(response.text == "aaaaa")
        #expect(ContinuousClock.now - begin >= .milliseconds(60))
    }

    @Test func `a simulated model that pauses on a loop ends when its task is canceled`() async throws {
        let task = Task(executorPreference: LoopExecutor(MultiThreadedEventLoopGroup.singleton.next())) {
            try await SimulatedModel().perform(
                request(#"{"steps":[{"initialDelayMilliseconds":60000,"text":"never"}]}"#)
            ) { _ in }
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
