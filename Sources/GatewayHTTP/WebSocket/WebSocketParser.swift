import Domain
import NIOCore
import Runtime

/// Why a socket is closed by us; `code` per RFC 6455 §7.4.1.
struct WebSocketFault: Error, Sendable, Equatable {
    let code: UInt16
    let reason: String

    static func violation(_ reason: String) -> WebSocketFault { WebSocketFault(code: 1002, reason: reason) }
    static let binary = WebSocketFault(code: 1003, reason: "text messages only")
    static let invalidText = WebSocketFault(code: 1007, reason: "text must be UTF-8")
    static func tooBig(_ maxBytes: Int) -> WebSocketFault { WebSocketFault(code: 1009, reason: "at most \(maxBytes) bytes a message") }
}

/// Server side of RFC 6455 §5: masked client frames in, whole text messages and control frames out. A frame's length is judged
/// when its header is there, and its payload is kept as it comes, so that a claim of a large frame costs nothing. A message over its bound is
/// looked through as it passes and not kept, up to a bound of its own.
struct WebSocketParser {
    enum Event: Equatable {
        case text([UInt8])
        case oversized(DeviceMessageOutline)
        case ping([UInt8])
        case pong
        /// code and reason as received; code is nil where the frame is empty.
        case close(UInt16?)
    }

    private struct Frame {
        let opcode: UInt8
        let isFinal: Bool
        let mask: UInt32
        let length: Int
        var received = 0
    }

    private enum Opcode {
        static let continuation: UInt8 = 0x0
        static let text: UInt8 = 0x1
        static let binary: UInt8 = 0x2
        static let close: UInt8 = 0x8
        static let ping: UInt8 = 0x9
        static let pong: UInt8 = 0xA
    }

    /// Of a whole message, its fragments together.
    var maxMessageBytes: Int
    /// 0: a message over the bound is a fault at once.
    var maxSkimmedBytes = 0
    private var frame: Frame?
    private var message: [UInt8] = []
    private var isInMessage = false
    /// Of a message that has turned out to be over its bound.
    private var outline: DeviceMessageOutline?
    private var fault: WebSocketFault?
    private var control: [UInt8] = []

    init(maxMessageBytes: Int) { self.maxMessageBytes = maxMessageBytes }

    /// The next event that the bytes hold; nil when more bytes are needed.
    mutating func next(_ buffer: inout ByteBuffer) throws(WebSocketFault) -> Event? {
        if let fault { throw fault }
        while true {
            if frame == nil {
                guard let header = try Self.readHeader(&buffer) else { return nil }
                try begin(header)
            }
            let complete = takePayload(&buffer)
            if let outline, outline.byteCount > maxSkimmedBytes {
                // What it was about is told, and then no more is read.
                fault = .tooBig(maxMessageBytes)
                self.outline = nil
                return .oversized(outline)
            }
            guard let complete else { return nil }
            if let event = try end(complete) { return event }
        }
    }

    private static func readHeader(_ buffer: inout ByteBuffer) throws(WebSocketFault) -> Frame? {
        let start = buffer.readerIndex
        guard let first = buffer.getInteger(at: start, as: UInt8.self), let second = buffer.getInteger(at: start + 1, as: UInt8.self) else {
            return nil
        }
        guard first & 0x70 == 0 else { throw .violation("no extension was agreed on") }
        guard second & 0x80 != 0 else { throw .violation("frames of a client must be masked") }
        let opcode = first & 0x0F
        guard opcode <= Opcode.binary || (Opcode.close...Opcode.pong).contains(opcode) else { throw .violation("unknown opcode") }
        var length = UInt64(second & 0x7F)
        var size = 2
        if length == 126 {
            guard let word = buffer.getInteger(at: start + 2, as: UInt16.self) else { return nil }
            guard word > 125 else { throw .violation("a length must be written in its shortest form") }
            length = UInt64(word)
            size = 4
        } else if length == 127 {
            guard let word = buffer.getInteger(at: start + 2, as: UInt64.self) else { return nil }
            guard word > 0xFFFF, word >> 63 == 0 else { throw .violation("a length must be written in its shortest form") }
            length = word
            size = 10
        }
        guard let mask = buffer.getInteger(at: start + size, as: UInt32.self) else { return nil }
        buffer.moveReaderIndex(forwardBy: size + 4)
        return Frame(opcode: opcode, isFinal: first & 0x80 != 0, mask: mask, length: Int(length))
    }

    private mutating func begin(_ header: Frame) throws(WebSocketFault) {
        switch header.opcode {
        case Opcode.close...Opcode.pong:
            guard header.isFinal, header.length <= 125 else { throw .violation("control frames are whole and at most 125 bytes") }
            control.removeAll(keepingCapacity: true)
        case Opcode.binary: throw .binary
        case Opcode.text:
            guard !isInMessage else { throw .violation("a new message began inside another") }
            isInMessage = true
        default:
            guard isInMessage else { throw .violation("a continuation of nothing") }
        }
        if header.opcode < Opcode.close, outline == nil, header.length > maxMessageBytes - message.count {
            guard maxSkimmedBytes > 0 else { throw .tooBig(maxMessageBytes) }
            var begun = DeviceMessageOutline()
            begun.read(message)
            message.removeAll()
            outline = begun
        }
        frame = header
    }

    /// Unmasks what is there of the frame's payload; returns the frame when that was all of it.
    private mutating func takePayload(_ buffer: inout ByteBuffer) -> Frame? {
        guard var current = frame else { return nil }
        let count = min(current.length - current.received, buffer.readableBytes)
        if count > 0 {
            let isControl = current.opcode >= Opcode.close
            let shift = current.received
            let mask = current.mask
            let view = buffer.readableBytesView.prefix(count)
            func append(to target: inout [UInt8]) {
                let start = target.count
                target.append(contentsOf: view)
                target.withUnsafeMutableBufferPointer { bytes in
                    for index in 0..<count { bytes[start + index] ^= UInt8(truncatingIfNeeded: mask >> (24 - ((shift + index) & 3) * 8)) }
                }
            }
            if isControl { append(to: &control) } else { append(to: &message) }
            if !isControl, outline != nil {
                outline?.read(message)
                message.removeAll(keepingCapacity: true)
            }
            buffer.moveReaderIndex(forwardBy: count)
            current.received += count
        }
        guard current.received == current.length else {
            frame = current
            return nil
        }
        frame = nil
        return current
    }

    private mutating func end(_ frame: Frame) throws(WebSocketFault) -> Event? {
        switch frame.opcode {
        case Opcode.ping: return .ping(control)
        case Opcode.pong: return .pong
        case Opcode.close: return .close(try closeCode())
        default:
            guard frame.isFinal else { return nil }
            isInMessage = false
            let text = message
            message = []
            if let outline = outline.take() { return .oversized(outline) }
            guard text.isValidUTF8 else { throw .invalidText }
            return .text(text)
        }
    }

    private func closeCode() throws(WebSocketFault) -> UInt16? {
        guard !control.isEmpty else { return nil }
        guard control.count >= 2 else { throw .violation("a close code has two bytes") }
        let code = UInt16(control[0]) << 8 | UInt16(control[1])
        let isKnown = (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code)
        guard isKnown else { throw .violation("unknown close code") }
        guard Array(control.dropFirst(2)).isValidUTF8 else { throw .invalidText }
        return code
    }
}

extension [UInt8] {
    /// Most text is ASCII: eight bytes at a time, and the slow check only for the rest.
    var isValidUTF8: Bool {
        withUnsafeBytes { bytes in
            var position = 0
            while position + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
                position += 8
            }
            return String(validating: bytes[position...], as: UTF8.self) != nil
        }
    }
}
