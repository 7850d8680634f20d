import Logging
import NIOCore
import NIOPosix
import Testing

@testable import Redis

let quiet: Logger = {
    var logger = Logger(label: "redis tests")
    logger.logLevel = .critical
    return logger
}()

func withClient<R: Sendable>(
    _ url: String, perLoopOf group: MultiThreadedEventLoopGroup? = nil, _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: @escaping @Sendable (RedisClient) async throws -> R
) async throws -> R {
    var configuration = try RedisConfiguration(url: url)
    configuration.connectTimeoutMilliseconds = 60_000
    configuration.commandTimeoutMilliseconds = 120_000
    configuration.reconnectMinimumMilliseconds = 5
    configuration.reconnectMaximumMilliseconds = 50
    change(&configuration)
    let client = RedisClient(
        configuration, eventLoopGroup: group ?? .singleton, hasConnectionPerLoop: group != nil, logger: quiet)
    return try await running({ await client.run() }) { try await body(client) }
}

func withSubscriber<R: Sendable>(
    _ url: String, _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: @escaping @Sendable (RedisSubscriber) async throws -> R
) async throws -> R {
    var configuration = try RedisConfiguration(url: url)
    configuration.connectTimeoutMilliseconds = 60_000
    configuration.keepAliveMilliseconds = 60_000
    configuration.reconnectMinimumMilliseconds = 5
    configuration.reconnectMaximumMilliseconds = 50
    change(&configuration)
    let subscriber = RedisSubscriber(configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
    return try await running({ await subscriber.run() }) { try await body(subscriber) }
}

private func running<R: Sendable>(
    _ run: @escaping @Sendable () async -> Void, _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await run() }
        let result = try await body()
        group.cancelAll()
        return result
    }
}

/// For conditions outside that nothing tells us of.
func eventually(
    _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation, _ condition: @Sendable () async throws -> Bool
) async throws {
    for _ in 0..<24_000 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record(what, sourceLocation: sourceLocation)
}

/// Keys of one test, so that tests share a server.
func uniqueKey(_ name: String) -> String { "test:\(UInt64.random(in: .min ... .max)):\(name)" }

/// The pushes of one subscription, to be awaited one by one.
struct Pushes {
    private let continuation: AsyncStream<RedisPush>.Continuation
    private var iterator: AsyncStream<RedisPush>.Iterator
    let handler: @Sendable (RedisPush) -> Void

    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: RedisPush.self)
        self.continuation = continuation
        iterator = stream.makeAsyncIterator()
        handler = { continuation.yield($0) }
    }

    mutating func next() async -> RedisPush? { await iterator.next() }

    /// After what came so far, `next` gives nil.
    func end() { continuation.finish() }
}

extension RedisPush {
    static func text(_ text: String) -> RedisPush { .message(ByteBuffer(string: text)) }
}
