public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// A multiplexed connection, or one for each event loop: callers' commands gather in one buffer, which goes out once per tick of the event
/// loop; replies come in order. Blocking commands and SUBSCRIBE do not belong here.
///
/// All commands take the first connection, so that they arrive in the order in which they were given, whatever thread that was on; but
/// `.anyOrder` takes the connection of the caller's own loop, where there is one and it is up: neither the command nor the reply wakes another
/// thread then, and it overtakes, or is overtaken by, what others send.
public final class RedisClient: Sendable {
    private struct Line: Sendable {
        let core: ClientCore
        let supervisor: Supervisor
    }

    /// One at least.
    private let lines: [Line]
    private let byLoop: [ObjectIdentifier: ClientCore]

    /// The bounds of `configuration` are those of each connection.
    public init(
        _ configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, hasConnectionPerLoop: Bool = false, logger: Logger
    ) {
        let loops = hasConnectionPerLoop ? Array(eventLoopGroup.makeIterator()) : [eventLoopGroup.next()]
        lines = loops.map { loop in
            let supervisor = Supervisor(configuration, eventLoop: loop, logger: logger)
            return Line(core: ClientCore(configuration, supervisor: supervisor, logger: logger), supervisor: supervisor)
        }
        byLoop = Dictionary(zip(loops.map(ObjectIdentifier.init), lines.map(\.core)), uniquingKeysWith: { first, _ in first })
    }

    /// Connects, and again after each loss, until the task is cancelled or `shutDown` is called. Every waiter has its answer on return.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for line in lines {
                group.addTask {
                    await line.supervisor.run(owner: line.core)
                    line.core.shutDown()
                }
            }
        }
    }

    /// New commands are refused, waiting ones end with `.shutDown`, `run` returns.
    public func shutDown() {
        for line in lines {
            line.core.shutDown()
            line.supervisor.end()
        }
    }

    /// The connection is up that commands in order take.
    public var isConnected: Bool { lines[0].core.statistics.isConnected }
    /// Of all connections together.
    public var statistics: RedisStatistics {
        let each = lines.map(\.core.statistics)
        return RedisStatistics(
            isConnected: each.allSatisfy(\.isConnected), connections: each.reduce(0) { $0 + $1.connections },
            unansweredCommands: each.reduce(0) { $0 + $1.unansweredCommands }, unwrittenBytes: each.reduce(0) { $0 + $1.unwrittenBytes })
    }

    public enum Order: Sendable {
        case inOrder, anyOrder
    }

    /// By the caller's own loop where that will do, else by the first connection.
    private func enqueue(_ order: Order, _ enqueue: (ClientCore) -> RedisError?) -> RedisError? {
        guard order == .anyOrder, lines.count > 1, let loop = MultiThreadedEventLoopGroup.currentEventLoop,
            let own = byLoop[ObjectIdentifier(loop)], own !== lines[0].core
        else { return enqueue(lines[0].core) }
        guard let refusal = enqueue(own) else { return nil }
        return refusal.code == .connection ? enqueue(lines[0].core) : refusal
    }

    /// An error reply of the server is thrown as `.server`. While the very first connect is under way the command waits for it; later a missing
    /// connection is an error at once.
    public func send(_ command: RedisCommand, _ order: Order = .inOrder) async throws(RedisError) -> RedisValue {
        let replies = try await wait { waiter in
            enqueue(order) { $0.enqueue(command, Slot(waiter: waiter, replies: 1)) }
        }
        switch replies {
        case .one(let value): return value
        case .many(let values): return .array(values)
        }
    }

    /// The replies in order of the commands; error replies are `.error` values. Not atomic: other callers' commands may run in between.
    public func pipeline(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisValue] {
        guard !commands.isEmpty else { return [] }
        let replies = try await wait { waiter in
            enqueue(.inOrder) { $0.enqueue(commands, Slot(waiter: waiter, replies: commands.count, isPipeline: true)) }
        }
        switch replies {
        case .one(let value): return [value]
        case .many(let values): return values
        }
    }

    /// Sends without waiting: replies are dropped. false when not connected or the queue is full; then nothing is sent.
    @discardableResult
    public func post(_ commands: [RedisCommand], _ order: Order = .inOrder) -> Bool {
        commands.isEmpty || enqueue(order) { $0.post(commands) } == nil
    }

    @inline(__always)
    private func wait(_ enqueue: (Waiter) -> RedisError?) async throws(RedisError) -> Waiter.Replies {
        let waiter = Waiter()
        // Unsafe: the checked form costs an allocation a command; `Waiter` resumes exactly once.
        let outcome = await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Waiter.Outcome, Never>) in
                guard waiter.begin(continuation) else { return }
                if let refusal = enqueue(waiter) { waiter.finish(.failure(refusal)) }
            }
        } onCancel: {
            waiter.cancel()
        }
        return try outcome.get()
    }
}

/// A moment's view of one client.
public struct RedisStatistics: Sendable, Equatable {
    public let isConnected: Bool
    /// Connections that were made, so reconnects + 1 for each loop that has one.
    public let connections: Int
    /// Commands without a reply yet.
    public let unansweredCommands: Int
    /// Bytes that the socket did not take yet.
    public let unwrittenBytes: Int
}
