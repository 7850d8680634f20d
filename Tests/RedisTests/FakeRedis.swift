import NIOCore
import NIOPosix
import Synchronization

/// A TCP server that answers the greeting as Redis does and everything else as the test says.
final class FakeRedis: Sendable {
    private let channel: any Channel
    private let counters: Counters

    private final class Counters: Sendable {
        let accepted = Atomic(0)
    }

    var connections: Int { counters.accepted.load(ordering: .acquiring) }
    var url: String { "redis://127.0.0.1:\(channel.localAddress?.port ?? 0)" }

    private init(_ channel: any Channel, _ counters: Counters) {
        self.channel = channel
        self.counters = counters
    }

    /// `answer` gets the number of the connection (from 1) and all bytes that came after the greeting; nil is silence.
    static func start(_ answer: @escaping @Sendable (Int, String) -> String?) async throws -> FakeRedis {
        let counters = Counters()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let number = counters.accepted.add(1, ordering: .acquiringAndReleasing).newValue
                    try channel.pipeline.syncOperations.addHandler(Handler(number: number, answer: answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FakeRedis(channel, counters)
    }

    func stop() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let number: Int
        private let answer: @Sendable (Int, String) -> String?
        private var received = ""
        private var isGreeted = false

        init(number: Int, answer: @escaping @Sendable (Int, String) -> String?) {
            self.number = number
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += String(buffer: unwrapInboundIn(data))
            let greeting = "*1\r\n$4\r\nPING\r\n"
            if !isGreeted, received.hasPrefix(greeting) {
                isGreeted = true
                received.removeFirst(greeting.count)
                context.writeAndFlush(NIOAny(ByteBuffer(string: "+PONG\r\n")), promise: nil)
            }
            guard !received.isEmpty, let reply = answer(number, received) else { return }
            context.writeAndFlush(NIOAny(ByteBuffer(string: reply)), promise: nil)
        }
    }
}
