import CHiredis
import NIOCore

/// hiredis' incremental RESP2 reader, which builds `RedisValue`s itself: no `redisReply` tree is made and freed, and an announced array size
/// is checked before anything is allocated for it. Nesting beyond 7 levels is an error of hiredis.
final class ReplyParser {
    /// hiredis moves what is left of its buffer after each 1 KiB it consumed: larger pieces would make that quadratic.
    private static let pieceBytes = 16_384

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let builder: ReplyBuilder
    private let maxReplyBytes: Int
    private var bytesOfReply = 0

    /// nil when there is no memory.
    init?(maxReplyBytes: Int, maxReplyElements: Int) {
        functions = .allocate(capacity: 1)
        functions.initialize(to: ReplyBuilder.functions)
        guard let reader = redisReaderCreateWithFunctions(functions) else {
            functions.deallocate()
            return nil
        }
        self.reader = reader
        self.maxReplyBytes = maxReplyBytes
        builder = ReplyBuilder(maxElements: maxReplyElements)
        // Unretained: the builder lives as long as this parser, which frees the reader.
        reader.pointee.privdata = Unmanaged.passUnretained(builder).toOpaque()
    }

    deinit {
        redisReaderFree(reader)
        functions.deallocate()
    }

    /// Appends the replies that are complete now; those before a fault too.
    func feed(_ buffer: ByteBuffer, into replies: inout [RedisValue]) throws(RedisError) {
        var rest = buffer
        while let piece = rest.readSlice(length: min(rest.readableBytes, Self.pieceBytes)), piece.readableBytes > 0 {
            let fed = piece.withUnsafeReadableBytes { bytes in
                redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
            }
            guard fed == REDIS_OK else { throw violation() }
            bytesOfReply += piece.readableBytes
            while let value = try next() {
                bytesOfReply = reader.pointee.len - reader.pointee.pos
                replies.append(value)
            }
            guard bytesOfReply <= maxReplyBytes else {
                throw RedisError(code: .protocolViolation, message: "a reply of more than \(maxReplyBytes) bytes")
            }
        }
    }

    private func next() throws(RedisError) -> RedisValue? {
        guard redisReaderGetReply(reader, nil) == REDIS_OK else { throw violation() }
        return builder.takeReply()
    }

    private func violation() -> RedisError {
        if let refused = builder.refusedElements {
            return RedisError(code: .protocolViolation, message: "a reply of \(refused) elements, more than \(builder.maxElements)")
        }
        let text = withUnsafeBytes(of: &reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return RedisError(code: .protocolViolation, message: text.isEmpty ? "the reply cannot be read" : text)
    }
}

/// Puts nested arrays together. hiredis reads depth first, so a stack of the arrays that are still open is enough.
private final class ReplyBuilder {
    let maxElements: Int
    private(set) var refusedElements: Int?
    private var open: [(elements: [RedisValue], missing: Int)] = []
    private var elementsOfReply = 0
    private var reply: RedisValue?

    init(maxElements: Int) { self.maxElements = maxElements }

    func takeReply() -> RedisValue? {
        defer { reply = nil }
        return reply
    }

    private func add(_ value: RedisValue) {
        var value = value
        while var top = open.popLast() {
            top.elements.append(value)
            top.missing -= 1
            guard top.missing == 0 else {
                open.append(top)
                return
            }
            value = .array(top.elements)
        }
        reply = value
        elementsOfReply = 0
    }

    private func beginArray(_ count: Int) -> Bool {
        elementsOfReply += count
        guard elementsOfReply <= maxElements else {
            refusedElements = elementsOfReply
            return false
        }
        if count <= 0 {
            add(.array([]))
        } else {
            open.append(([], count))
            open[open.count - 1].elements.reserveCapacity(min(count, 1024))
        }
        return true
    }

    private static func of(_ task: UnsafePointer<redisReadTask>?) -> ReplyBuilder? {
        guard let data = task?.pointee.privdata else { return nil }
        return Unmanaged<ReplyBuilder>.fromOpaque(data).takeUnretainedValue()
    }

    /// hiredis wants an object for each value and only looks whether it is nil (no memory); the value itself is in the builder.
    private static var built: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 1) }

    static let functions = redisReplyObjectFunctions(
        createString: { task, start, count in
            guard let builder = ReplyBuilder.of(task), let task else { return nil }
            let bytes = UnsafeRawBufferPointer(start: start, count: count)
            switch task.pointee.type {
            case REDIS_REPLY_STATUS: builder.add(.status(String(decoding: bytes, as: UTF8.self)))
            case REDIS_REPLY_ERROR: builder.add(.error(String(decoding: bytes, as: UTF8.self)))
            default: builder.add(.bulk(ByteBuffer(bytes: bytes)))
            }
            return ReplyBuilder.built
        },
        createArray: { task, count in
            guard let builder = ReplyBuilder.of(task), builder.beginArray(Int(count)) else { return nil }
            return ReplyBuilder.built
        },
        createInteger: { task, number in
            guard let builder = ReplyBuilder.of(task) else { return nil }
            builder.add(.int(number))
            return ReplyBuilder.built
        },
        createNil: { task in
            guard let builder = ReplyBuilder.of(task) else { return nil }
            builder.add(.null)
            return ReplyBuilder.built
        },
        freeObject: { _ in })
}
