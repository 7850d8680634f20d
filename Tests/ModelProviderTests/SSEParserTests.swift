import NIOCore
import ServerSentEvents
import Testing

@Suite struct SSEParserTests {
    private func parse(_ pieces: [String]) throws -> [ServerSentEvent] {
        var parser = SSEParser()
        return try pieces.flatMap { try parser.parse(ByteBuffer(string: $0)) }
    }

    private func texts(_ pieces: String...) throws -> [String] {
        try parse(pieces).map { String(decoding: $0.data, as: UTF8.self) }
    }

    @Test(arguments: ["\n", "\r", "\r\n"]) func `any cut of a stream gives the same events`(newline: String) async throws {
        let stream = OpenAIChatFixture.toolCalls.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: newline)
        let bytes = Array(stream.utf8)
        var whole = SSEParser()
        let expected = try whole.parse(bytes: bytes)
        #expect(expected.count == 8)
        #expect(expected.last?.data == Array("[DONE]".utf8))
        for cut in 0...bytes.count {
            // Other tests watch the clock meanwhile.
            await Task.yield()
            var parser = SSEParser()
            let events = try parser.parse(bytes: bytes[..<cut]) + parser.parse(bytes: bytes[cut...])
            guard events == expected else {
                Issue.record("cut at byte \(cut)")
                return
            }
        }
        var parser = SSEParser()
        #expect(try bytes.flatMap { try parser.parse(bytes: CollectionOfOne($0)) } == expected)
    }

    @Test func `data lines are joined and one space behind the colon is dropped`() throws {
        #expect(try texts("data: a\ndata:  b\ndata:c\n\n") == ["a\n b\nc"])
    }

    @Test func `an event without data is not dispatched, one with an empty data line is`() throws {
        #expect(try texts("event: ping\n\n") == [])
        #expect(try texts("data\n\ndata:\n\n") == ["", ""])
    }

    @Test func `comments and unknown fields are passed over`() throws {
        #expect(try texts(": keep-alive\n\nfoo: 1\ndata: a\n:\n\n") == ["a"])
    }

    @Test func `a byte order mark counts only at the beginning`() throws {
        var parser = SSEParser()
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var events: [ServerSentEvent] = []
        for byte in mark + Array("data: a\n\n".utf8) + mark + Array("data: b\n\n".utf8) { events += try parser.parse(bytes: [byte]) }
        #expect(events.map(\.data) == [Array("a".utf8)])
    }

    @Test func `type, id and retry follow the specification`() throws {
        var parser = SSEParser()
        let events = try parser.parse(
            ByteBuffer(string: "event: e\nid: 1\nretry: 250\ndata: a\n\ndata: b\n\nid\nretry: 1x\ndata: c\n\nid: 2\u{0}\ndata: d\n\n"))
        #expect(events.map(\.type) == ["e", "message", "message", "message"])
        #expect(events.map(\.lastEventID) == ["1", "1", "", ""])
        #expect(parser.retryMilliseconds == 250)
    }

    @Test func `an event that the end cut is dropped`() throws {
        #expect(try texts("data: a\n\ndata: b\n") == ["a"])
    }

    @Test func `CR and LF in different pieces are one line end`() throws {
        #expect(try texts("data: a\r", "\n\r", "\ndata: b\r\n", "\r\n") == ["a", "b"])
        #expect(try texts("data: a\r", "\r", "data: b\r\r") == ["a", "b"])
    }

    @Test func `a line over its limit is refused before it is complete`() {
        var parser = SSEParser(limits: .init(maxLineBytes: 16, maxEventBytes: 1_000))
        #expect(throws: SSEError.lineTooLong(limitBytes: 16)) {
            for _ in 0..<3 { _ = try parser.parse(bytes: Array("data: ab".utf8)) }
        }
    }

    @Test func `an event of many lines is refused over its limit`() throws {
        var parser = SSEParser(limits: .init(maxLineBytes: 16, maxEventBytes: 10))
        _ = try parser.parse(ByteBuffer(string: "data: 0123456789\n\n"))
        #expect(throws: SSEError.eventTooLarge(limitBytes: 10)) {
            for _ in 0..<4 { _ = try parser.parse(ByteBuffer(string: "data: abc\n")) }
        }
    }
}
