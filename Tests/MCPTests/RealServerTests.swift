import JSON
import MCP
import TestServers
import Testing

/// Against the official SDK, over every transport and era that it has.
struct RealServerTests {
    struct Place: Sendable, CustomTestStringConvertible {
        let line: MCPServerProcess.Line
        let mode: MCPServerProcess.Mode
        let era: MCPEra

        var testDescription: String { "SDK \(line.rawValue), \(mode.rawValue): \(era.rawValue)" }

        static let all = [
            Place(line: .one, mode: .http, era: .legacy), Place(line: .one, mode: .json, era: .legacy),
            Place(line: .one, mode: .stateless, era: .legacy), Place(line: .one, mode: .resumable, era: .legacy),
            Place(line: .one, mode: .sse, era: .eventStream), Place(line: .two, mode: .http, era: .modern),
            Place(line: .two, mode: .json, era: .modern), Place(line: .two, mode: .stateless, era: .modern),
            Place(line: .two, mode: .sse, era: .eventStream),
        ]
    }

    private func with(
        _ place: Place, _ transport: MCPServer.Transport = .automatic, _ body: (MCPSession) async throws -> Void
    ) async throws {
        let server = try await MCPServerProcess.shared(place.line, place.mode)
        try await Conversing.with(server.url, transport, headers: [MCPHeader(name: "X-Tenant", value: "acme")], body)
    }

    @Test(arguments: Place.all) func `its era is found out, and its tools are listed and called`(_ place: Place) async throws {
        try await with(place) { session async throws in
            let list = try await session.list()
            #expect(session.era == place.era)
            #expect(list.era == place.era)
            #expect(!list.isCut)
            #expect(list.refused.isEmpty)
            let echo = try #require(list.tools.first { $0.name == "echo" })
            #expect(echo.description == "Says it again.")
            #expect(try echo.inputSchema.document().root["properties"]?["text"]?["type"]?.string == "string")
            #expect(try await session.json("echo", #"{"text":"\"Grüße\"\n"}"#) == #""\"Grüße\"\n""#)
            #expect(try await session.json("add", #"{"a":2,"b":3}"#) == #"{"result":5}"#)
            #expect(try await session.json("forecast", #"{"city":"Kyjiw"}"#) == #"{"city":"Kyjiw","celsius":21.5}"#)
            #expect(try await session.json("whoami") == #""acme""#)
            #expect(try await session.json("noisy") == #""done""#)
        }
    }

    @Test(arguments: Place.all) func `a tool's failure is its own, an unknown tool the server's`(_ place: Place) async throws {
        try await with(place) { session async throws in
            guard case .failed(let text) = try await session.call("fail", #"{"reason":"no such city"}"#) else {
                Issue.record("a failure is no result")
                return
            }
            // The newer line keeps the reason to itself.
            #expect(text.contains("Error executing tool fail"))
            guard case .failed(let fault) = try await session.call("add", #"{"a":"two","b":3}"#) else {
                Issue.record("arguments that do not fit are no result")
                return
            }
            #expect(fault.contains("integer"))
        }
    }

    @Test(arguments: Place.all) func `parts of a result become one value`(_ place: Place) async throws {
        try await with(place) { session async throws in
            let parts = try await session.json("parts")
            #expect(parts.contains(#"{"type":"text","text":"one"}"#))
            #expect(parts.contains(#"{"type":"image","mimeType":"image/png","bytes":6,"omitted":true}"#))
            #expect(parts.contains(#"{"type":"resource_link","uri":"file:///notes.txt","name":"notes"}"#))
            // Whoever asked bounds what he takes.
            let long = try await session.json("long", #"{"length":300000}"#)
            #expect(long.utf8.count == 600_002 && long.dropFirst().dropLast().allSatisfy { $0 == "é" })
        }
    }

    @Test(arguments: Place.all) func `many calls of one session are under way at once`(_ place: Place) async throws {
        try await with(place) { session async throws in
            let echo = try await session.tool("echo")
            let texts = try await withThrowingTaskGroup(of: (Int, MCPToolResult).self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let arguments = RawJSON.object { $0.field("text", string: "\(number)") }
                        return (number, try await session.call(echo, arguments: arguments, deadline: Conversing.patience))
                    }
                }
                return try await group.reduce(into: [Int: MCPToolResult]()) { $0[$1.0] = $1.1 }
            }
            for number in 0..<20 { #expect(texts[number] == .result(RawJSON(trusted: Array("\"\(number)\"".utf8)))) }
        }
    }

    @Test(arguments: [MCPServerProcess.Line.one, .two]) func `a list in pages is read to its end`(_ line: MCPServerProcess.Line)
        async throws
    {
        let server = try await MCPServerProcess.shared(line, .paged)
        try await Conversing.with(server.url) { session async throws in
            let list = try await session.list()
            #expect(list.tools.map(\.name) == (0..<45).map { "tool_\($0)" })
            #expect(!list.isCut)
        }
        var limits = MCPLimits()
        limits.maxPages = 2
        try await Conversing.with(server.url, client: Conversing.client(limits)) { session async throws in
            let list = try await session.list()
            #expect(list.tools.count == 20)
            #expect(list.isCut)
        }
        limits = MCPLimits()
        limits.maxTools = 7
        try await Conversing.with(server.url, client: Conversing.client(limits)) { session async throws in
            #expect(try await session.list().tools.count == 7)
            // What is not wanted takes no place.
            let last = try await session.tools(deadline: Conversing.patience) { $0 == "tool_44" }
            #expect(last.tools.map(\.name) == ["tool_44"])
            #expect(!last.isCut)
        }
    }

    @Test func `a transport that is named is not looked for`() async throws {
        let modern = Place(line: .two, mode: .http, era: .modern)
        try await with(modern, .http) { session async throws in #expect(try await session.list().era == .modern) }
        let legacy = Place(line: .one, mode: .http, era: .legacy)
        try await with(legacy, .http) { session async throws in #expect(try await session.list().era == .legacy) }
        let stream = Place(line: .one, mode: .sse, era: .eventStream)
        try await with(stream, .sse) { session async throws in #expect(try await session.list().era == .eventStream) }
        await #expect(throws: MCPError.self) { try await with(stream, .http) { _ = try await $0.list() } }
    }

    @Test func `the server's wish for a parameter in a header is granted`() async throws {
        try await with(Place(line: .two, mode: .http, era: .modern)) { session async throws in
            #expect(try await session.json("place", #"{"region":"Ägypten","count":2}"#) == #""Ägypten 2""#)
            #expect(try await session.json("place", #"{"region":"us-west1"}"#) == #""us-west1 1""#)
        }
    }
}
