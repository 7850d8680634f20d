import JSON
@testable import MCP
import Testing

/// The parts that need no server.
struct ProtocolTests {
    @Test func `values of headers are encoded as the specification shows`() {
        #expect(HeaderValue.encode("us-west1") == "us-west1")
        #expect(HeaderValue.encode("Hello, 世界") == "=?base64?SGVsbG8sIOS4lueVjA==?=")
        #expect(HeaderValue.encode(" padded ") == "=?base64?IHBhZGRlZCA=?=")
        #expect(HeaderValue.encode("line1\nline2") == "=?base64?bGluZTEKbGluZTI=?=")
        #expect(HeaderValue.encode("=?base64?literal?=") == "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=")
        #expect(HeaderValue.encode("a\r\nx-evil: 1").contains("\n") == false)
    }

    private func headers(_ schema: String) throws -> ParameterHeaders {
        try ParameterHeaders(of: try JSONDocument(parsing: Array(schema.utf8)).root)
    }

    @Test func `parameters are found where the specification allows them`() throws {
        let schema =
            #"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"at":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"},"b":{"type":"boolean","x-mcp-header":"B"}}},"x-mcp-header":{"type":"number"}}}"#
        let arguments = try JSONDocument(parsing: Array(#"{"region":"a\nb","at":{"n":42.0,"b":true}}"#.utf8)).root
        let sent = try headers(schema).headers(for: arguments, maxValueBytes: 100)
        #expect(
            sent == [
                MCPHeader(name: "mcp-param-Region", value: "=?base64?YQpi?="), MCPHeader(name: "mcp-param-N", value: "42"),
                MCPHeader(name: "mcp-param-B", value: "true"),
            ])
        let none = try JSONDocument(parsing: Array(#"{"region":null,"at":7}"#.utf8)).root
        #expect(try headers(schema).headers(for: none, maxValueBytes: 100).isEmpty)
        #expect(throws: MCPError.self) { try headers(schema).headers(for: arguments, maxValueBytes: 1) }
    }

    @Test(arguments: [
        #"{"x-mcp-header":"Root","type":"object"}"#, #"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
        #"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#, #"{"properties":{"a":{"type":"string","x-mcp-header":"a\r\nb"}}}"#,
        #"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#, #"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
        #"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
        #"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
        #"{"oneOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
        ##"{"$defs":{"d":{"type":"string","x-mcp-header":"A"}},"properties":{"a":{"$ref":"#/$defs/d"}}}"##,
        #"{"if":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#,
    ]) func `a forbidden annotation makes the tool unusable`(_ schema: String) throws {
        #expect(throws: Unusable.self) { try headers(schema) }
    }

    @Test func `several messages may come in an array, whole or not at all, and not too many`() throws {
        func all(_ text: String) throws -> [RPCMessage] { try RPCMessage.all(in: Array(text.utf8), limit: 1 << 20) }
        let notice = #"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#
        let answer = #"{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}"#
        let messages = try all("[\(notice),\(answer),\(notice)]")
        #expect(messages.count == 3)
        guard case .notification("notifications/progress", _) = messages[0], case .result(7, _) = messages[1] else {
            Issue.record("\(messages)")
            return
        }
        #expect(try all("[]").isEmpty)
        #expect(try all("[" + Array(repeating: notice, count: 256).joined(separator: ",") + "]").count == 256)
        for bad in [
            "[" + Array(repeating: notice, count: 257).joined(separator: ",") + "]", "[\(answer),7]", "[[\(answer)]]",
            #"[\#(answer),{"id":8,"result":{}}]"#, "[\(answer)",
        ] {
            #expect(throws: MCPError.self, "\(bad.prefix(80))") { try all(bad) }
        }
    }

    @Test func `an endpoint stays at its server`() throws {
        let base = "https://Example.org:8443/a/sse?key=1"
        #expect(try StreamEndpoint.resolve("/messages?id=1", against: base) == "https://Example.org:8443/messages?id=1")
        #expect(try StreamEndpoint.resolve("messages", against: base) == "https://Example.org:8443/a/messages")
        #expect(try StreamEndpoint.resolve("?id=1", against: base) == "https://Example.org:8443/a/sse?id=1")
        #expect(try StreamEndpoint.resolve("https://example.org:8443/x", against: base) == "https://example.org:8443/x")
        for foreign in [
            "//evil.org/x", "https://evil.org/x", "https://example.org/x", "http://example.org:8443/x", "https://user@example.org:8443/x",
            "https://example.org:8443@evil.org/x", "javascript:alert(1)", "file:///etc/passwd", "", "/a b",
            "https://example.org:8443\\@evil.org/",
        ] {
            #expect(throws: MCPError.self, "\(foreign)") { try StreamEndpoint.resolve(foreign, against: base) }
        }
    }

    @Test func `random bytes are never taken for a message`() {
        var generator = SystemRandomNumberGenerator()
        let seed = Array(#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{"content":[]},"error":{"code":1,"message":"x"}}"#.utf8)
        for _ in 0..<5000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let position = Int.random(in: 0..<bytes.count, using: &generator)
                if Bool.random(using: &generator) { bytes[position] = .random(in: 0...255) } else { bytes.remove(at: position) }
            }
            // Either a message or an error of ours; both are fine, a trap is not.
            do { _ = try RPCMessage.all(in: bytes, limit: 1 << 20) } catch { #expect(error.code == .badAnswer) }
        }
    }

    @Test func `eras are kept for some servers, and for some time`() async throws {
        var limits = MCPLimits()
        limits.maxKnownEras = 3
        let book = EraBook(limits)
        for number in 0..<10 { book.remember(.modern, .init(partition: "", url: "\(number)")) }
        #expect(book.count == 3)
        #expect(book.era(.init(partition: "", url: "9")) == .modern)
        #expect(book.era(.init(partition: "", url: "0")) == nil)
        #expect(book.era(.init(partition: "other", url: "9")) == nil)
        book.forget(.init(partition: "", url: "9"))
        #expect(book.era(.init(partition: "", url: "9")) == nil)
        limits.eraSeconds = 0
        let brief = EraBook(limits)
        brief.remember(.modern, .init(partition: "", url: "x"))
        #expect(brief.era(.init(partition: "", url: "x")) == nil)
    }

    @Test func `nobody's headers take the protocol's place`() {
        let server = MCPServer(
            url: "http://x", headers: ["Host", "MCP-Session-Id", "Content-Type", "X-Key"].map { MCPHeader(name: $0, value: "v") })
        #expect(server.headers.map(\.name) == ["X-Key"])
    }
}
