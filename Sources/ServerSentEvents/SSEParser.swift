public import NIOCore

/// One event of a `text/event-stream` (WHATWG HTML, "Server-sent events").
public struct ServerSentEvent: Sendable, Equatable {
    /// The `event` field, `message` where the server named none.
    public var type: String
    /// The `data` lines joined by LF.
    public var data: [UInt8]
    /// The last event id seen so far on this stream.
    public var lastEventID: String

    public init(type: String = "message", data: [UInt8], lastEventID: String = "") {
        self.type = type
        self.data = data
        self.lastEventID = lastEventID
    }
}

public enum SSEError: Error, Sendable, Equatable {
    case lineTooLong(limitBytes: Int)
    case eventTooLarge(limitBytes: Int)
}

/// Parses an event stream piece by piece: a piece may end at any byte, also between CR and LF or within a character.
///
/// What is kept between pieces is one line and one event, both bounded. After an error the parser must not be used again. An event
/// that the end of the stream cut is dropped, as the specification demands.
public struct SSEParser: Sendable {
    public struct Limits: Sendable {
        public var maxLineBytes: Int
        public var maxEventBytes: Int

        public init(maxLineBytes: Int = 1 << 20, maxEventBytes: Int = 1 << 20) {
            self.maxLineBytes = maxLineBytes
            self.maxEventBytes = maxEventBytes
        }
    }

    private let limits: Limits
    private var line: [UInt8] = []
    private var data: [UInt8] = []
    private var type = ""
    /// The `id` field seen last, of an event that may not be whole yet.
    private var eventID = ""
    /// The id of the last block that was whole, also of one without data: where a reconnecting reader says that it is.
    public private(set) var lastEventID = ""
    /// The reconnection time that the server asked for, in milliseconds.
    public private(set) var retryMilliseconds: Int?
    private var isFirstLine = true
    private var endedWithCarriageReturn = false

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// The events that `buffer` completes, in order.
    public mutating func parse(_ buffer: ByteBuffer) throws(SSEError) -> [ServerSentEvent] {
        try parse(bytes: buffer.readableBytesView)
    }

    public mutating func parse(bytes: some RandomAccessCollection<UInt8>) throws(SSEError) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        var start = bytes.startIndex
        if endedWithCarriageReturn, start < bytes.endIndex {
            endedWithCarriageReturn = false
            if bytes[start] == UInt8(ascii: "\n") { bytes.formIndex(after: &start) }
        }
        while let end = bytes[start...].firstIndex(where: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
            try append(bytes[start..<end])
            if let event = try endLine() { events.append(event) }
            start = bytes.index(after: end)
            guard bytes[end] == UInt8(ascii: "\r") else { continue }
            guard start < bytes.endIndex else {
                endedWithCarriageReturn = true
                break
            }
            if bytes[start] == UInt8(ascii: "\n") { bytes.formIndex(after: &start) }
        }
        try append(bytes[start...])
        return events
    }

    private mutating func append(_ piece: some RandomAccessCollection<UInt8>) throws(SSEError) {
        guard line.count + piece.count <= limits.maxLineBytes else { throw .lineTooLong(limitBytes: limits.maxLineBytes) }
        line.append(contentsOf: piece)
    }

    private mutating func endLine() throws(SSEError) -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: line.count <= 65_536) }
        var text = line[...]
        if isFirstLine {
            isFirstLine = false
            if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = text.dropFirst(3) }
        }
        guard let first = text.first else { return dispatch() }
        guard first != UInt8(ascii: ":") else { return nil }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else {
            try setField(text, to: [])
            return nil
        }
        var value = text[(colon + 1)...]
        if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
        try setField(text[..<colon], to: value)
        return nil
    }

    private mutating func setField(_ name: ArraySlice<UInt8>, to value: ArraySlice<UInt8>) throws(SSEError) {
        if name.elementsEqual("data".utf8) {
            guard data.count + value.count + 1 <= limits.maxEventBytes + 1 else {
                throw .eventTooLarge(limitBytes: limits.maxEventBytes)
            }
            data.append(contentsOf: value)
            data.append(UInt8(ascii: "\n"))
        } else if name.elementsEqual("event".utf8) {
            type = String(decoding: value, as: UTF8.self)
        } else if name.elementsEqual("id".utf8) {
            if !value.contains(0) { eventID = String(decoding: value, as: UTF8.self) }
        } else if name.elementsEqual("retry".utf8) {
            let isNumber = !value.isEmpty && value.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
            if isNumber, let milliseconds = Int(String(decoding: value, as: UTF8.self)) { retryMilliseconds = milliseconds }
        }
    }

    private mutating func dispatch() -> ServerSentEvent? {
        defer {
            data = []
            type = ""
        }
        lastEventID = eventID
        guard !data.isEmpty else { return nil }
        data.removeLast()
        return ServerSentEvent(type: type.isEmpty ? "message" : type, data: data, lastEventID: lastEventID)
    }
}
