import NIOCore
import NIOHTTP1

/// Live events on their way to many watchers: the chunk of HTTP/1.1 (RFC 9112 §7.1) around an event is made once, and written past the
/// handlers that would make it for each watcher anew, in three parts. The response's head has gone before, and said that chunks follow:
/// it has no length, and NIO's encoder chooses chunks for every such answer.
enum EventChunk {
    @Sendable static func frame(_ bytes: ByteBuffer) -> ByteBuffer {
        // An empty chunk would end the body.
        guard bytes.readableBytes > 0 else { return bytes }
        var framed = ByteBuffer()
        framed.reserveCapacity(bytes.readableBytes + 20)
        framed.writeString(String(bytes.readableBytes, radix: 16))
        framed.writeStaticString("\r\n")
        framed.writeImmutableBuffer(bytes)
        framed.writeStaticString("\r\n")
        return framed
    }

    /// On the channel's loop.
    @Sendable static func write(_ channel: any Channel, _ framed: ByteBuffer) {
        // Without an encoder the connection has been torn down.
        guard let encoder = try? channel.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self) else { return }
        encoder.writeAndFlush(NIOAny(IOData.byteBuffer(framed)), promise: nil)
    }
}
