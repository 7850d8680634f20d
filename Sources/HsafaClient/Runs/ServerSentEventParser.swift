import NIOCore

/// One dispatched event of a `text/event-stream` (WHATWG HTML, "Server-sent events").
struct ServerSentEvent: Equatable {
    var id: String?
    var event = "message"
    var data: [UInt8] = []
}

/// Incremental and bounded. Lines may end in LF, CRLF or CR, also across chunks.
struct ServerSentEventParser {
    enum Failure: Error { case eventTooLarge(maxBytes: Int) }

    let maxEventBytes: Int
    /// The last `retry:` field.
    private(set) var retryMilliseconds: Int?
    private var line: [UInt8] = []
    private var skipsLineFeed = false
    private var isFirstLine = true
    private var id: String?
    private var event = ""
    private var data: [UInt8] = []
    private var hasData = false

    init(maxEventBytes: Int) { self.maxEventBytes = maxEventBytes }

    mutating func consume(_ buffer: ByteBuffer, into events: inout [ServerSentEvent]) throws(Failure) {
        for byte in buffer.readableBytesView {
            if skipsLineFeed {
                skipsLineFeed = false
                if byte == UInt8(ascii: "\n") { continue }
            }
            switch byte {
            case UInt8(ascii: "\n"): endLine(into: &events)
            case UInt8(ascii: "\r"):
                skipsLineFeed = true
                endLine(into: &events)
            default:
                guard line.count + data.count < maxEventBytes else { throw .eventTooLarge(maxBytes: maxEventBytes) }
                line.append(byte)
            }
        }
    }

    private mutating func endLine(into events: inout [ServerSentEvent]) {
        defer { line.removeAll(keepingCapacity: true) }
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        guard !line.isEmpty else { return dispatch(into: &events) }
        let colon = line.firstIndex(of: UInt8(ascii: ":"))
        guard colon != 0 else { return }  // a comment
        let name = line[..<(colon ?? line.endIndex)]
        var value = colon.map { line[($0 + 1)...] } ?? []
        if value.first == UInt8(ascii: " ") { value.removeFirst() }
        if name.elementsEqual("data".utf8) {
            if hasData { data.append(UInt8(ascii: "\n")) }
            hasData = true
            data += value
        } else if name.elementsEqual("event".utf8) {
            event = String(decoding: value, as: UTF8.self)
        } else if name.elementsEqual("id".utf8) {
            if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
        } else if name.elementsEqual("retry".utf8) {
            if value.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
                let milliseconds = Int(String(decoding: value, as: UTF8.self))
            {
                retryMilliseconds = milliseconds
            }
        }
    }

    private mutating func dispatch(into events: inout [ServerSentEvent]) {
        defer {
            event = ""
            data = []
            hasData = false
        }
        guard hasData else { return }
        events.append(ServerSentEvent(id: id, event: event.isEmpty ? "message" : event, data: data))
    }
}
