import Domain
import NIOCore
import Storage

/// An event of a feed, encoded once for all its watchers.
struct FeedFrame: Sendable {
    let seq: Int64
    let isTerminal: Bool
    /// The bytes of the server-sent event: `id`, `event`, `data`, blank line.
    let bytes: ByteBuffer

    init(_ frame: RunFrame) {
        seq = frame.seq
        isTerminal = frame.isTerminal
        var buffer = ByteBuffer()
        buffer.reserveCapacity(frame.envelope.readableBytes + 48)
        buffer.writeStaticString("id: ")
        buffer.writeString(String(frame.seq))
        buffer.writeStaticString("-0\nevent: hsafa\ndata: ")
        buffer.writeImmutableBuffer(frame.envelope)
        buffer.writeStaticString("\n\n")
        bytes = buffer
    }
}

/// The newest events of a run, without a hole. Bounded: the oldest make room, and who needs them reads history.
struct FeedRing {
    private var frames: [FeedFrame] = []
    private var head = 0
    private var bytes = 0
    /// Everything up to here is history.
    private(set) var base: Int64

    init(base: Int64) { self.base = base }

    var lastSeq: Int64 { base + Int64(frames.count - head) }
    var isEnded: Bool { frames.last?.isTerminal ?? false }

    enum Addition: Equatable { case added, known, hole }

    mutating func add(_ frame: FeedFrame) -> Addition {
        guard frame.seq > lastSeq else { return .known }
        guard frame.seq == lastSeq + 1 else { return .hole }
        frames.append(frame)
        bytes += frame.bytes.readableBytes
        while frames.count - head > Limits.feedRingEvents || (bytes > Limits.feedRingBytes && frames.count - head > 1) {
            bytes -= frames[head].bytes.readableBytes
            base = frames[head].seq
            head += 1
        }
        if head > Limits.feedRingEvents {
            frames.removeFirst(head)
            head = 0
        }
        return .added
    }

    /// What follows a cursor, as one buffer of at most about `maxBytes`; nil when the cursor is behind the ring.
    func slice(after cursor: Int64, maxBytes: Int) -> FeedSlice? {
        guard cursor >= base else { return nil }
        var index = head + Int(cursor - base)
        guard index < frames.count else { return FeedSlice(lastSeq: cursor, isTerminal: isEnded, bytes: ByteBuffer()) }
        if index == frames.count - 1 {
            return FeedSlice(lastSeq: frames[index].seq, isTerminal: frames[index].isTerminal, bytes: frames[index].bytes)
        }
        var buffer = ByteBuffer()
        repeat {
            buffer.writeImmutableBuffer(frames[index].bytes)
            index += 1
        } while index < frames.count && buffer.readableBytes < maxBytes
        return FeedSlice(lastSeq: frames[index - 1].seq, isTerminal: frames[index - 1].isTerminal, bytes: buffer)
    }
}

struct FeedSlice: Sendable {
    let lastSeq: Int64
    let isTerminal: Bool
    let bytes: ByteBuffer
}
