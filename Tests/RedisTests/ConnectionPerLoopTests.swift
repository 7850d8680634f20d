import NIOCore
import NIOPosix
import Testing

@testable import Redis

@Suite("RedisClient: a connection for each event loop", .timeLimit(.minutes(5)))
struct ConnectionPerLoopTests {
    private final class LoopRunner: TaskExecutor {
        private let loop: any EventLoop
        init(_ loop: any EventLoop) { self.loop = loop }
        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }

    private func identity(
        _ client: RedisClient, on loop: (any EventLoop)? = nil, _ order: RedisClient.Order = .anyOrder
    ) async throws -> Int {
        let ask: @Sendable () async throws -> Int? = { try await client.send(RedisCommand("CLIENT", "ID"), order).int }
        guard let loop else { return try #require(try await ask()) }
        return try #require(try await Task(executorPreference: LoopRunner(loop)) { try await ask() }.value)
    }

    private func withLoops(
        _ count: Int, _ change: (inout RedisConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (RedisClient, [any EventLoop]) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: count)
        let loops = Array(group.makeIterator()) as [any EventLoop]
        try await withClient(SharedRedis.url, perLoopOf: group, change) { try await body($0, loops) }
        try await group.shutdownGracefully()
    }

    @Test("commands in order take the first connection on every loop; others that of their loop, where they are on one")
    func connections() async throws {
        try await withLoops(3) { client, loops in
            var identities: [Int] = []
            for loop in loops { identities.append(try await identity(client, on: loop)) }
            #expect(Set(identities).count == 3)
            for (loop, known) in zip(loops, identities) { #expect(try await identity(client, on: loop) == known) }
            #expect(try await identity(client) == identities[0])
            for loop in loops { #expect(try await identity(client, on: loop, .inOrder) == identities[0]) }
            #expect(client.isConnected)
            #expect(client.statistics.connections == 3)
        }
    }

    @Test("a connection that is lost is one loop's loss, and comes back")
    func loss() async throws {
        try await withLoops(2) { client, loops in
            let first = try await identity(client, on: loops[0])
            let second = try await identity(client, on: loops[1])
            try await withClient(SharedRedis.url) { other in
                _ = try await other.send(RedisCommand("CLIENT", "KILL", "ID", String(second)))
            }
            try await eventually("no reconnect") { client.isConnected && client.statistics.connections == 3 }
            #expect(try await identity(client, on: loops[0]) == first)
            #expect(try await identity(client, on: loops[1]) != second)
            #expect(client.statistics.unansweredCommands == 0)
        }
    }

    @Test("while a loop's connection is down its callers take the first")
    func fallback() async throws {
        let stayDown: (inout RedisConfiguration) -> Void = {
            $0.reconnectMinimumMilliseconds = 600_000
            $0.reconnectMaximumMilliseconds = 600_000
        }
        try await withLoops(2, stayDown) { client, loops in
            let first = try await identity(client, on: loops[0])
            let second = try await identity(client, on: loops[1])
            try await withClient(SharedRedis.url) { other in
                _ = try await other.send(RedisCommand("CLIENT", "KILL", "ID", String(second)))
            }
            try await eventually("loss not seen") { !client.statistics.isConnected }
            #expect(client.isConnected)
            #expect(try await identity(client, on: loops[1]) == first)
        }
    }

    @Test("after the shutdown every loop's commands are refused")
    func shutDown() async throws {
        try await withLoops(2) { client, loops in
            _ = try await identity(client, on: loops[1])
            client.shutDown()
            for loop in loops {
                let error = await #expect(throws: RedisError.self) { try await identity(client, on: loop) }
                #expect(error?.code == .shutDown)
            }
        }
    }
}
