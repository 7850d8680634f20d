import CLibc
import Glibc

/// One event of a stream, valid during the call that hands it out.
struct StreamEvent {
    let bytes: UnsafeRawBufferPointer
    let seq: Int64
    /// CLOCK_REALTIME nanoseconds when its bytes were received.
    let receivedAt: Int64

    func has(_ text: StaticString) -> Bool { find(text) != nil }

    func isType(_ type: StaticString) -> Bool {
        guard let start = find("\"type\":\""), start + type.utf8CodeUnitCount < bytes.count, let base = bytes.baseAddress else {
            return false
        }
        return memcmp(base + start, type.utf8Start, type.utf8CodeUnitCount) == 0
            && bytes[start + type.utf8CodeUnitCount] == UInt8(ascii: "\"")
    }

    /// When the model emitted it.
    var stampNanoseconds: Int64? {
        guard var position = find("\"tns\":") else { return nil }
        var value: Int64 = 0
        while position < bytes.count, case let digit = bytes[position], (48...57).contains(digit) {
            value = value * 10 + Int64(digit - 48)
            position += 1
        }
        return value
    }

    func string(_ key: StaticString, length: Int) -> String? {
        guard let start = find(key), start + length <= bytes.count else { return nil }
        return String(decoding: bytes[start..<start + length], as: UTF8.self)
    }

    /// The position behind `text`.
    private func find(_ text: StaticString) -> Int? {
        guard let base = bytes.baseAddress, let hit = memmem(base, bytes.count, text.utf8Start, text.utf8CodeUnitCount) else { return nil }
        return UnsafeRawPointer(hit) - base + text.utf8CodeUnitCount
    }
}

/// A stream of server-sent events, checked for holes.
final class Watcher: Socket {
    private var body = HTTPBody()
    private var pending: [UInt8] = []
    private let onEvent: (Watcher, StreamEvent) -> Void
    private(set) var lastSeq: Int64 = 0
    private(set) var isAttached = false
    private(set) var isOver = false
    /// Events that should have come between two that came.
    private(set) var missing: Int64 = 0

    init(_ poller: Poller, port: Int, path: String, key: String, _ onEvent: @escaping (Watcher, StreamEvent) -> Void) throws {
        self.onEvent = onEvent
        try super.init(poller, port: port)
        send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nAuthorization: Bearer \(key)\r\n\r\n".utf8)
    }

    /// Answered, and not with a stream.
    var isRefused: Bool { !isAttached && (isOver || body.status > 200) }

    override func received(_ received: UnsafeRawBufferPointer) {
        let now = Clock.realtime()
        do { try body.read(received) { pending.append(contentsOf: $0) } } catch { disconnect() }
        if body.status == 200 { isAttached = true }
        deliver(now)
        if body.isDone || !isOpen {
            disconnect()
            isOver = true
        }
    }

    override func ended() { isOver = true }

    private func deliver(_ now: Int64) {
        var start = 0
        pending.withUnsafeBytes { all in
            guard let base = all.baseAddress else { return }
            while let hit = memmem(base + start, all.count - start, "\n\n", 2) {
                let end = UnsafeRawPointer(hit) - base
                event(UnsafeRawBufferPointer(rebasing: all[start..<end]), now)
                start = end + 2
            }
        }
        if start == pending.count { pending.removeAll(keepingCapacity: true) } else { pending.removeFirst(start) }
    }

    private func event(_ block: UnsafeRawBufferPointer, _ now: Int64) {
        guard block.count > 4, block[0] == UInt8(ascii: "i"), block[1] == UInt8(ascii: "d") else { return }
        var seq: Int64 = 0
        var position = 4
        while position < block.count, (48...57).contains(block[position]) {
            seq = seq * 10 + Int64(block[position] - 48)
            position += 1
        }
        missing += max(0, seq - lastSeq - 1)
        lastSeq = seq
        onEvent(self, StreamEvent(bytes: block, seq: seq, receivedAt: now))
    }
}
