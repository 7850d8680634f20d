import Glibc
import NIOCore
import NIOPosix

/// The floor of a fan-out, in a process of its own: sockets that have asked get the same bytes at each tick, and nothing else happens.
///
/// `GET /health` answers; `GET /go?rate=20&count=120&bytes=200` starts the ticks; any other request makes its connection a watcher.
nonisolated final class BareServer: Sendable {
    private let group = MultiThreadedEventLoopGroup.singleton
    private let rooms: [Room]

    init() { rooms = group.makeIterator().map { Room($0) } }

    func run(port: Int) async throws {
        let rooms = rooms
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(BareHandler(rooms: rooms))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        try await listener.closeFuture.get()
    }

    /// The watchers of one event loop, touched on it alone; that is why it may be shared unchecked.
    final class Room: @unchecked Sendable {
        let loop: any EventLoop
        var channels: [ObjectIdentifier: any Channel] = [:]

        init(_ loop: any EventLoop) { self.loop = loop }

        func write(_ bytes: ByteBuffer) {
            loop.execute { for channel in self.channels.values { channel.writeAndFlush(bytes, promise: nil) } }
        }
    }

    static func tick(_ seq: Int, of count: Int, every nanoseconds: Int64, from start: NIODeadline, bytes: Int, rooms: [Room]) {
        guard let first = rooms.first, seq <= count else { return }
        first.loop.scheduleTask(deadline: start + .nanoseconds(nanoseconds * Int64(seq))) {
            var text =
                "id: \(seq)-0\nevent: hsafa\ndata: {\"seq\":\(seq),\"type\":\"assistant.delta\",\"data\":{\"tns\":\(Clock.realtime()),\"text\":\""
            text += String(repeating: "x", count: max(0, bytes - text.utf8.count - 3)) + "\"}}\n\n"
            let chunk = ByteBuffer(string: String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
            for room in rooms { room.write(chunk) }
            tick(seq + 1, of: count, every: nanoseconds, from: start, bytes: bytes, rooms: rooms)
        }
    }
}

nonisolated private final class BareHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let rooms: [BareServer.Room]
    private var room: BareServer.Room?

    init(rooms: [BareServer.Room]) { self.rooms = rooms }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let request = String(buffer: unwrapInboundIn(data))
        let target = request.split(separator: " ").dropFirst().first ?? ""
        if target.hasPrefix("/go?") {
            var numbers: [Substring: Int] = [:]
            for pair in target.dropFirst(4).split(separator: "&") {
                let parts = pair.split(separator: "=")
                numbers[parts[0]] = parts.last.flatMap { Int($0) }
            }
            BareServer.tick(
                1, of: numbers["count"] ?? 0, every: 1_000_000_000 / Int64(numbers["rate"] ?? 1), from: .now(),
                bytes: numbers["bytes"] ?? 200,
                rooms: rooms)
        }
        let isWatcher = target == "/stream"
        let head = "HTTP/1.1 200 OK\r\n" + (isWatcher ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 2\r\n\r\n{}")
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
        guard isWatcher, let room = rooms.first(where: { $0.loop === context.eventLoop }) else { return }
        room.channels[ObjectIdentifier(context.channel)] = context.channel
        self.room = room
    }

    func channelInactive(context: ChannelHandlerContext) { room?.channels[ObjectIdentifier(context.channel)] = nil }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
