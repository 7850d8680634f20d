public import Domain
import JSON
public import NIOCore
public import Redis

/// An event as it travels: its seq, whether it is the last, and the bytes of its envelope.
public struct RunFrame: Sendable {
    public let seq: Int64
    public let isTerminal: Bool
    /// `{"runId":…,"seq":…,"type":…,"ts":…,"data":…}`, one line.
    public let envelope: ByteBuffer

    public init(seq: Int64, isTerminal: Bool, envelope: ByteBuffer) {
        self.seq = seq
        self.isTerminal = isTerminal
        self.envelope = envelope
    }

    public init(_ event: RunEvent, of run: RunID) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(event.data.bytes.count + 160)
        event.appendEnvelope(run: run, to: &bytes)
        self.init(seq: event.seq, isTerminal: event.type.isTerminal, envelope: ByteBuffer(bytes: bytes))
    }
}

/// The hot window of a run in Redis, and the notices of new events. Losing it costs latency, never an event.
public struct RunStream: Sendable {
    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    /// Hands new frames to every replica: window, expiry and notice in one batch, without waiting for an answer. Only after the commit.
    public func publish(_ frames: [RunFrame], of run: RunID) {
        guard let last = frames.last else { return }
        let key = RedisKeys.stream(run)
        var commands: [RedisCommand] = []
        commands.reserveCapacity(frames.count + 2)
        for frame in frames {
            var add = RedisCommand("XADD")
            add.append(key)
            add.append("MAXLEN")
            add.append("~")
            add.append(Limits.hotWindowEvents)
            add.append("\(frame.seq)-0")
            add.append(frame.isTerminal ? "t" : "e")
            add.append(frame.envelope)
            commands.append(add)
        }
        var expire = RedisCommand("EXPIRE")
        expire.append(key)
        expire.append(Limits.hotWindowSeconds)
        commands.append(expire)
        var publish = RedisCommand("PUBLISH")
        publish.append(RedisKeys.notify(run))
        publish.append(Self.encode(frames, last: last))
        commands.append(publish)
        // A frame that is overtaken leaves a hole, in the window and at a feed, and a hole is read from Postgres.
        redis.post(commands, .anyOrder)
    }

    /// Frames after a seq from the window; nil unless the window has the very next one, and then only as far as it has no hole.
    public func read(_ run: RunID, after: Int64, limit: Int) async -> [RunFrame]? {
        // A cursor is the client's: the highest number has no successor.
        guard after < .max else { return nil }
        var command = RedisCommand("XRANGE")
        command.append(RedisKeys.stream(run))
        command.append("\(after + 1)-0")
        command.append("+")
        command.append("COUNT")
        command.append(limit)
        guard let entries = try? await redis.send(command, .anyOrder).array, !entries.isEmpty else { return nil }
        var frames: [RunFrame] = []
        var expected = after + 1
        for entry in entries {
            guard let pair = entry.array, pair.count == 2, let id = pair[0].string, let seq = Int64(id.prefix { $0 != "-" }),
                seq == expected, let fields = pair[1].array, fields.count == 2, let kind = fields[0].string, let envelope = fields[1].bytes
            else { break }
            frames.append(RunFrame(seq: seq, isTerminal: kind == "t", envelope: envelope))
            expected += 1
        }
        return frames.isEmpty ? nil : frames
    }

    // A notice: `<last seq>`, then `<seq> <t|e> <envelope>` lines. Envelopes hold no line break.
    private static func encode(_ frames: [RunFrame], last: RunFrame) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(frames.reduce(24) { $0 + $1.envelope.readableBytes + 24 })
        buffer.writeString("\(last.seq)\n")
        for frame in frames {
            buffer.writeString(String(frame.seq))
            buffer.writeString(frame.isTerminal ? " t " : " e ")
            buffer.writeImmutableBuffer(frame.envelope)
            buffer.writeInteger(UInt8(ascii: "\n"))
        }
        return buffer
    }

    /// The frames of a notice that come after `known`. Mostly there are none, for who publishes hears its own notice: then nothing but the
    /// first line is read. nil: this is no notice, of another version maybe. A malformed rest is left out, as a poll of Postgres stands behind it.
    public static func decode(_ message: ByteBuffer, after known: Int64) -> [RunFrame]? {
        var message = message
        guard let last = lastSeq(&message) else { return nil }
        guard last > known else { return [] }
        var frames: [RunFrame] = []
        while message.readableBytes > 0 {
            let view = message.readableBytesView
            guard let end = view.firstIndex(of: UInt8(ascii: "\n")), let space = view.firstIndex(of: UInt8(ascii: " ")), space + 3 <= end,
                let seq = Int64(String(decoding: view[view.startIndex..<space], as: UTF8.self))
            else { return frames }
            let isTerminal = view[space + 1] == UInt8(ascii: "t")
            let length = end - view.startIndex
            let envelopeStart = space + 3 - view.startIndex
            guard let envelope = message.getSlice(at: message.readerIndex + envelopeStart, length: length - envelopeStart) else {
                return frames
            }
            if seq > known { frames.append(RunFrame(seq: seq, isTerminal: isTerminal, envelope: envelope)) }
            message.moveReaderIndex(forwardBy: length + 1)
        }
        return frames
    }

    /// Reads the first line.
    private static func lastSeq(_ message: inout ByteBuffer) -> Int64? {
        var value: Int64 = 0
        for (length, byte) in message.readableBytesView.enumerated() {
            if byte == UInt8(ascii: "\n"), length > 0 {
                message.moveReaderIndex(forwardBy: length + 1)
                return value
            }
            // 18 digits at most: no overflow.
            guard length < 18, let digit = Int64(exactly: Int(byte) - 48), (0...9).contains(digit) else { return nil }
            value = value * 10 + digit
        }
        return nil
    }
}

/// Wake-ups over Redis. Each has a slow poll of Postgres behind it, so a lost one costs time only.
public struct Wakeups: Sendable {
    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    public func runReady() { redis.post([RedisCommand("PUBLISH", RedisKeys.runsReady, "1")]) }

    /// The answer, for a process that ends after it; throws where Redis is away.
    public func keysChangedNow() async throws {
        _ = try await redis.send(RedisCommand("PUBLISH", RedisKeys.keysChanged, "1"))
    }

    public func keysChanged() { redis.post([RedisCommand("PUBLISH", RedisKeys.keysChanged, "1")]) }

    /// Tells the worker that holds a run that someone wrote to its log.
    public func runWritten(_ run: RunID, worker: ReplicaID) {
        redis.post([RedisCommand("PUBLISH", RedisKeys.workerNotify(worker), run.description)])
    }
}
