import JSON
import MCP
import NIOHTTP1
import Synchronization
import Testing

/// A server that does everything wrong, at each place where it can. What is sought is a clear error, in bounded time and space.
struct GarbageTests {
    private static let place = #"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#
    private static let list = #"{"resultType":"complete","tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#

    private static func id(_ request: RawRequest) -> String {
        guard let node = try? JSONDocument(parsing: Array(request.body.utf8)).root["id"] else { return "null" }
        return node.rawJSON.string
    }

    private static func result(_ request: RawRequest, _ result: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id(request)),"result":\#(result)}"#
    }

    /// A modern server with one tool, whose calls are answered by `reply`.
    static func modern(_ request: RawRequest, _ reply: (RawRequest) -> RawReply) -> RawReply {
        switch request.headers.first(name: "mcp-method") {
        case "server/discover": .json(result(request, place))
        case "tools/list": .json(result(request, list))
        default: reply(request)
        }
    }

    /// A legacy server without sessions, likewise.
    static func legacy(_ request: RawRequest, _ reply: (RawRequest) -> RawReply) -> RawReply {
        if request.headers.first(name: "mcp-protocol-version") == "2026-07-28" { return .status(400, "Bad Request") }
        if request.body.contains(#""initialize""#) {
            return .json(result(request, #"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"x","version":"1"}}"#))
        }
        if request.body.contains("notifications/initialized") { return .status(202) }
        if request.body.contains("tools/list") { return .json(result(request, list)) }
        return reply(request)
    }

    private func failure(
        limits: MCPLimits = MCPLimits(), seconds: Int = 120, era: MCPEra = .modern, _ reply: @escaping @Sendable (RawRequest) -> RawReply
    ) async throws -> MCPError? {
        try await RawServer.with({ era == .modern ? Self.modern($0, reply) : Self.legacy($0, reply) }) { server in
            let failure = try await Conversing.with(server.url, client: Conversing.client(limits)) { session in
                let tool = try await session.tool("echo")
                return await #expect(throws: MCPError.self) {
                    try await session.call(tool, arguments: .emptyObject, deadline: .now.advanced(by: .seconds(seconds)))
                }
            }
            return failure
        }
    }

    @Test(arguments: [MCPEra.modern, .legacy])
    func `what is withheld is in no description, no result, and no failure`(_ era: MCPEra) async throws {
        let tools =
            #"{"resultType":"complete","tools":[{"name":"echo","description":"Your key is k-1234.","inputSchema":{"type":"object"}}]}"#
        let reply: @Sendable (RawRequest) -> RawReply = { request in
            if request.body.contains("tools/list") { return .json(Self.result(request, tools)) }
            if request.body.contains("fail") {
                return .json(#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"k-1234"}}"#, status: 500)
            }
            return .json(Self.result(request, #"{"resultType":"complete","content":[{"type":"text","text":"k-1234"}]}"#))
        }
        @Sendable func answer(_ request: RawRequest) -> RawReply {
            if request.body.contains("tools/list") { return reply(request) }
            return era == .modern ? Self.modern(request, reply) : Self.legacy(request, reply)
        }
        try await RawServer.with(answer) { server in
            let withhold: MCPWithholding = { Array(String(decoding: $0, as: UTF8.self).replacing("k-1234", with: "[key]").utf8) }
            try await Conversing.with(server.url, withholding: withhold) { session async throws in
                let tool = try await session.tool("echo")
                #expect(tool.description == "Your key is [key].")
                #expect(try await session.json("echo") == #""[key]""#)
                let failure = await #expect(throws: MCPError.self) { try await session.json("echo", #"{"a":"fail"}"#) }
                #expect(failure?.message.contains("[key]") == true)
                #expect(!String(describing: failure).contains("k-1234"))
            }
        }
    }

    @Test func `of an error that was shortened nothing is read but its status`() async throws {
        let limit = MCPLimits().maxErrorBodyBytes
        let error = #"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"said"}}"#
        @Sendable func answer(_ request: RawRequest) -> RawReply {
            if request.body.contains("tools/list") {
                return .json(Self.result(request, #"{"resultType":"complete","tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#))
            }
            let length = limit + (request.body.contains("long") ? 1 : 0)
            return Self.modern(request) { _ in .json(error + String(repeating: " ", count: length - error.utf8.count), status: 500) }
        }
        try await RawServer.with(answer) { server in
            try await Conversing.with(server.url) { session async throws in
                #expect(await #expect(throws: MCPError.self) { try await session.json("echo") }?.message.contains("said") == true)
                let cut = await #expect(throws: MCPError.self) { try await session.json("echo", #"{"a":"long"}"#) }
                #expect(cut?.message.contains("said") == false && cut?.httpStatus == 500)
            }
        }
    }

    struct Wrong: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let reply: @Sendable (RawRequest) -> RawReply
        let codes: Set<MCPError.Code>

        init(_ description: String, _ codes: Set<MCPError.Code>, _ reply: @escaping @Sendable (RawRequest) -> RawReply) {
            testDescription = description
            self.codes = codes
            self.reply = reply
        }
    }

    private static let wrongs: [Wrong] = [
        Wrong("a web page", [.badAnswer]) { _ in RawReply(headers: [("content-type", "text/html")], pieces: ["<html>"]) },
        Wrong("no content type", [.badAnswer]) { _ in RawReply(pieces: ["{}"]) },
        Wrong("accepted, and that is all", [.badAnswer]) { _ in .status(202) },
        Wrong("an empty body", [.badAnswer]) { _ in .json("") },
        Wrong("no JSON", [.badAnswer]) { _ in .json("hello") },
        Wrong("half a JSON", [.badAnswer]) { _ in .json(#"{"jsonrpc":"2.0","id":1,"#) },
        Wrong("JSON that is cut", [.interrupted]) { _ in
            RawReply(headers: [("content-type", "application/json")], pieces: [#"{"jsonrpc""#], ending: .cut)
        },
        Wrong("another protocol", [.badAnswer]) { _ in .json(#"{"id":1,"result":{}}"#) },
        Wrong("keys that are there twice", [.badAnswer]) { .json(#"{"jsonrpc":"2.0","id":\#(id($0)),"id":99,"result":{}}"#) },
        Wrong("another's answer", [.badAnswer]) { _ in .json(#"{"jsonrpc":"2.0","id":987654,"result":{"content":[]}}"#) },
        Wrong("a result that is no object", [.badAnswer]) { .json(#"{"jsonrpc":"2.0","id":\#(id($0)),"result":[]}"#) },
        Wrong("a result without content", [.badAnswer]) { .json(result($0, #"{"resultType":"complete"}"#)) },
        Wrong("content that is no list", [.badAnswer]) { .json(result($0, #"{"content":{}}"#)) },
        Wrong("a result of an unknown type", [.badAnswer]) { .json(result($0, #"{"resultType":"maybe","content":[]}"#)) },
        Wrong("a wish for input", [.inputRequired]) {
            .json(result($0, #"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create"}}}"#))
        },
        Wrong("the same wish again and again", [.badAnswer]) {
            .json(result($0, #"{"resultType":"input_required","requestState":"again"}"#))
        },
        Wrong("deep JSON", [.badAnswer]) {
            .json(result($0, String(repeating: #"{"a":"#, count: 500) + "1" + String(repeating: "}", count: 500)))
        },
        Wrong("an unknown tool", [.invalidParameters]) {
            .json(#"{"jsonrpc":"2.0","id":\#(id($0)),"error":{"code":-32602,"message":"Unknown tool"}}"#, status: 400)
        },
        Wrong("an error of its own", [.rpcError]) { .json(#"{"jsonrpc":"2.0","id":\#(id($0)),"error":{"code":7,"message":"no"}}"#) },
        Wrong("an error for no id", [.rpcError]) { _ in
            .json(#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#, status: 400)
        },
        Wrong("401", [.unauthorized]) { _ in
            .status(401, headers: [("www-authenticate", #"Bearer error="invalid_token", resource_metadata="https://example.org""#)])
        },
        Wrong("403", [.unauthorized]) { _ in .status(403) },
        Wrong("a redirection", [.redirected]) { _ in .status(307, headers: [("location", "http://127.0.0.1:1/elsewhere")]) },
        Wrong("429", [.rateLimited]) { _ in .status(429, headers: [("retry-after", "1")]) },
        Wrong("500", [.serverError]) { _ in .status(500, "boom") },
        Wrong("503 with a page", [.serverError]) { _ in .status(503, String(repeating: "x", count: 200_000)) },
        Wrong("a stream that ends", [.interrupted]) { _ in .stream([": hello\n\n"]) },
        Wrong("a stream that is cut", [.interrupted]) { _ in .stream([": hello\n\n", "data: {\"jso"], ending: .cut) },
        Wrong("a stream of strangers' answers", [.interrupted]) { _ in
            .stream((0..<50).map { "data: {\"jsonrpc\":\"2.0\",\"id\":\"x\($0)\",\"result\":{\"content\":[]}}\n\n" })
        },
        Wrong("a stream of no JSON", [.badAnswer]) { _ in .stream(["data: what?\n\n"]) },
    ]

    @Test(arguments: wrongs) func `a wrong answer to a call is a clear error`(_ wrong: Wrong) async throws {
        let error = try #require(try await failure(wrong.reply))
        #expect(wrong.codes.contains(error.code), "\(error)")
        #expect(!error.message.isEmpty && error.message.utf8.count < 4096)
        #expect(error.message.utf8.allSatisfy { $0 >= 0x20 })
    }

    /// Kinds of results are of the modern era alone.
    private static let modernWrongs: Set = ["a result of an unknown type", "a wish for input", "the same wish again and again"]

    @Test(arguments: wrongs.filter { !modernWrongs.contains($0.testDescription) })
    func `a wrong answer of an old server is a clear error too`(_ wrong: Wrong) async throws {
        let error = try #require(try await failure(era: .legacy, wrong.reply))
        #expect(wrong.codes.contains(error.code), "\(error)")
    }

    @Test func `a challenge is told without its details`() async throws {
        let error = try #require(
            try await failure { _ in .status(401, headers: [("www-authenticate", #"Bearer error="invalid_token", secret="abc""#)]) })
        #expect(error.message.contains("Bearer, invalid_token"))
        #expect(!error.message.contains("abc"))
        #expect(error.httpStatus == 401)
    }

    @Test func `what does not end is cut at its bound, and the connection with it`() async throws {
        var limits = MCPLimits()
        limits.maxMessageBytes = 100_000
        limits.maxStreamBytes = 300_000
        limits.maxEventsPerAnswer = 500
        let floods: [(RawReply, MCPError.Code)] = [
            (
                RawReply(headers: [("content-type", "application/json")], pieces: [String(repeating: " ", count: 8192)], ending: .flood),
                .tooLarge
            ),
            // One line.
            (.stream([String(repeating: "x", count: 8192)], ending: .flood), .tooLarge),
            // One event.
            (.stream(["data: \(String(repeating: "x", count: 8192))\n"], ending: .flood), .tooLarge),
            (.stream([": \(String(repeating: "x", count: 8192))\n"], ending: .flood), .tooLarge),
            // Very many events.
            (.stream(["data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n"], ending: .flood), .tooLarge),
        ]
        for (reply, code) in floods {
            try await RawServer.with({ Self.modern($0) { _ in reply } }) { server in
                let error = try await Conversing.with(server.url, client: Conversing.client(limits)) { session in
                    let tool = try await session.tool("echo")
                    return await #expect(throws: MCPError.self) {
                        try await session.call(tool, arguments: .emptyObject, deadline: Conversing.patience)
                    }
                }
                #expect(error?.code == code)
                // One at rest in the pool may be left from the requests before.
                try await until { server.connections <= 1 }
            }
        }
    }

    @Test func `silence and dripping end at the deadline`() async throws {
        for era in [MCPEra.modern, .legacy] {
            let mute = try await failure(seconds: 1, era: era) { _ in RawReply(isMute: true) }
            #expect(mute?.code == .timeout)
            let silent = try await failure(seconds: 1, era: era) { _ in .stream([": hello\n\n"], ending: .silent) }
            #expect(silent?.code == .timeout)
            let drip = try await failure(seconds: 1, era: era) { _ in .stream([":\n"], ending: .flood) }
            #expect(drip?.code == .timeout || drip?.code == .tooLarge)
        }
    }

    @Test func `a server that asks without end is not answered without end`() async throws {
        var limits = MCPLimits()
        limits.maxServerRequests = 5
        let answers = AnswerCount()
        let error = try await failure(limits: limits, era: .legacy) { request in
            if request.body.contains("Method not found") || request.body.contains(#""result":{}"#) {
                answers.add()
                return .status(202)
            }
            return .stream(
                (0..<100).map {
                    "data: {\"jsonrpc\":\"2.0\",\"id\":\($0),\"method\":\"\($0 % 2 == 0 ? "ping" : "sampling/createMessage")\"}\n\n"
                })
        }
        #expect(error?.code == .badAnswer)
        #expect(answers.count == 5)
    }

    @Test func `a stream that is taken up again without end ends`() async throws {
        var limits = MCPLimits()
        limits.reconnectionMilliseconds = 1
        limits.reconnectionRangeMilliseconds = 1...1
        limits.maxReconnections = 10
        let returns = AnswerCount()
        let error = try await failure(limits: limits, era: .legacy) { request in
            if request.method == "GET" { returns.add() }
            return .stream(["id: \(returns.count)\ndata:\n\n"])
        }
        #expect(error?.code == .interrupted)
        #expect(returns.count == 10)
        let vain = AnswerCount()
        _ = try await failure(limits: limits, era: .legacy) { request in
            if request.method == "GET" { vain.add() }
            return .stream(["id: 1\ndata:\n\n"])
        }
        #expect(vain.count == 1 + limits.maxVainReconnections)
    }

    @Test func `a refusal is no verdict about the era`() async throws {
        for reply in [RawReply.status(401), .status(403), .status(301), .status(429)] {
            try await RawServer.with({ _ in reply }) { server in
                try await Conversing.with(server.url) { session in
                    _ = await #expect(throws: MCPError.self) { try await session.list() }
                    #expect(session.era == nil)
                }
                // Neither was another era tried.
                #expect(server.requests.count == 1)
            }
        }
    }

    @Test func `what is none of the three eras is said to be none`() async throws {
        try await RawServer.with({ _ in .status(404, "not here") }) { server in
            try await Conversing.with(server.url) { session in
                let error = await #expect(throws: MCPError.self) { try await session.list() }
                #expect(error?.code == .serverError)
                #expect(error?.httpStatus == 404)
                #expect(session.era == nil)
            }
            #expect(server.requests.map(\.method) == ["POST", "POST", "GET"])
        }
    }
}

final class AnswerCount: Sendable {
    private let value = Mutex(0)

    func add() { value.withLock { $0 += 1 } }
    var count: Int { value.withLock { $0 } }
}
