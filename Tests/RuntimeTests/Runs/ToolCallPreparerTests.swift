import Domain
import JSON
import ModelProviders
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Runtime
@testable import Storage

@Suite(.timeLimit(.minutes(2)))
struct ToolCallPreparerTests {
    /// What else a loop has to do, a piece at a time, until it ends.
    private final class Others: Sendable {
        private let state = Mutex((done: 0, isOver: false))
        var count: Int { state.withLock { $0.done } }

        func begin(on loop: any EventLoop) {
            loop.execute {
                let goesOn = self.state.withLock { state in
                    state.done += 1
                    return !state.isOver
                }
                if goesOn { self.begin(on: loop) }
            }
        }

        func end() { state.withLock { $0.isOver = true } }
    }

    @Test func `between any two calls of a step its loop serves others`() async throws {
        let environment = try await TestEnvironment.start()
        let gate = try DeviceReplica(environment).gate
        let scope = try await environment.makeTenant()
        let config = try AgentConfig(
            reading: RawJSON(
                """
                {"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[{"text":"x"}]}},
                 "tools":[{"name":"t","target":"browser","inputSchema":{"type":"object"}}]}
                """
            ).document().root)
        let preparer = ToolCallPreparer(
            config: config, gate: gate, rules: try await gate.rules(scope),
            claimed: ClaimedRun(
                scope: scope, runID: .generate(), agentID: .generate(), agentName: "a", versionID: .generate(), claimNumber: 1, seq: 1,
                deadlineAt: .now()))
        let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let others = Others()
        let (prepared, served) = await withTaskExecutorPreference(LoopExecutor(loop.next())) {
            others.begin(on: loop.next())
            let calls = (0..<Limits.maxToolCallsPerStep).map { ModelToolCall(providerCallID: "p\($0)", name: "t", arguments: "{}") }
            let before = others.count
            let prepared = await preparer.prepare(calls, counts: [:])
            defer { others.end() }
            return (prepared, others.count - before)
        }
        #expect(prepared.admitted.count == Limits.maxToolCallsPerStep)
        #expect(served >= Limits.maxToolCallsPerStep - 1, "\(served)")
        try await loop.shutdownGracefully()
    }
}
