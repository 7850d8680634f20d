import JSON
import ModelProviders
import NIOCore
import NIOPosix
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
