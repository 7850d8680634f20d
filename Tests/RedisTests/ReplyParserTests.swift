import NIOCore
import Testing

@testable import Redis

@Suite("RESP2 replies")
struct ReplyParserTests {
    private func parse(_ pieces: [String], maxBytes: Int = 1 << 20, maxElements: Int = 1000) throws -> [RedisValue] {
        let parser = try #require(ReplyParser(maxReplyBytes: maxBytes, maxReplyElements: maxElements))
        var values: [RedisValue] = []
        for piece in pieces {
            try parser.feed(ByteBuffer(string: piece), into: &values)
        }
        return values
    }

    private let sample =
        "+OK\r\n:-42\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n$-1\r\n-ERR no\r\n$4\r\n\r\n\r\n\r\n"
    private let expected: [RedisValue] = [
        .status("OK"), .int(-42), .null, .null, .bulk(ByteBuffer()), .array([]),
        .array([.bulk(ByteBuffer(string: "a")), .array([.int(1), .array([])]), .null]), .error("ERR no"),
        .bulk(ByteBuffer(string: "\r\n\r\n")),
    ]

    @Test("all kinds of replies are read")
    func kinds() throws {
        #expect(try parse([sample]) == expected)
    }

    @Test("replies that come byte by byte are the same")
    func split() throws {
        #expect(try parse(sample.unicodeScalars.map { String($0) }) == expected)
    }

    @Test("a reply of several pieces of a megabyte is put together")
    func large() throws {
        let text = String(repeating: "0123456789", count: 300_000)
        #expect(try parse(["$3000000\r\n\(text)\r\n:1\r\n"], maxBytes: 4_000_000) == [.bulk(ByteBuffer(string: text)), .int(1)])
    }

    @Test(
        "what is no RESP2 or beyond the bounds is a protocol violation",
        arguments: [
            "HTTP/1.1 400 Bad Request\r\n", "$12x\r\n", "$2000000\r\n" + String(repeating: "x", count: 1_100_000),
            "*2147483647\r\n", "*99999999999999\r\n", "*600\r\n*500\r\n", String(repeating: "*1\r\n", count: 9) + ":1\r\n", ":\r\n",
            "%1\r\n",
        ])
    func violations(text: String) {
        let error = #expect(throws: RedisError.self) { try parse([text]) }
        #expect(error?.code == .protocolViolation)
    }

    @Test("many small replies do not count as one large")
    func manySmall() throws {
        let values = try parse([String(repeating: "+0123456789\r\n", count: 10_000)], maxBytes: 64 << 10)
        #expect(values.count == 10_000)
    }

    @Test("SHA-1 agrees with the vectors of FIPS 180")
    func sha1() {
        #expect(SHA1.hexDigest(of: []) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(SHA1.hexDigest(of: Array("abc".utf8)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        let text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
        #expect(SHA1.hexDigest(of: Array(text.utf8)) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
        #expect(SHA1.hexDigest(of: [UInt8](repeating: 97, count: 1_000_000)) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
    }
}
