import JSON
import MCP
import TestServers
import Testing

/// Against the official SDK as it was when an earlier version of the protocol was its newest. One after the other: each server is a
/// process that takes its time to begin.
@Suite(.serialized) struct EarlierServerTests {
    struct Place: Sendable, CustomTestStringConvertible {
        let line: MCPServerProcess.Line
        let mode: MCPServerProcess.Mode
        let era: MCPEra
        let version: String

        var testDescription: String { "SDK \(line.rawValue), \(mode.rawValue): \(version)" }

        static let all = [
            Place(line: .of202411, mode: .sse, era: .eventStream, version: "2024-11-05"),
            Place(line: .of202503, mode: .http, era: .legacy, version: "2025-03-26"),
            Place(line: .of202503, mode: .json, era: .legacy, version: "2025-03-26"),
            Place(line: .of202506, mode: .http, era: .legacy, version: "2025-06-18"),
            Place(line: .of202506, mode: .json, era: .legacy, version: "2025-06-18"),
            Place(line: .of202506, mode: .sse, era: .eventStream, version: "2025-06-18"),
        ]
    }

    @Test(arguments: Place.all) func `its newest version is agreed on, and its tools are listed and called`(_ place: Place) async throws {
        let server = try await MCPServerProcess.shared(place.line, place.mode)
        try await Conversing.with(server.url) { session async throws in
            let list = try await session.list()
            #expect(list.era == place.era && session.era == place.era)
            #expect(list.refused.isEmpty && list.tools.map(\.name).sorted() == ["echo", "fail", "newest", "spoken"])
            #expect(try await session.json("echo", #"{"text":"\"Grüße\"\n"}"#).contains(#"\"Grüße\"\n"#))
            // The server answers a client that asks for a later version with this one, and the client takes it up.
            #expect(try await session.json("newest").contains(place.version))
            // Only streamable HTTP has a header for it.
            #expect(try await session.json("spoken").contains(place.era == .legacy ? place.version : "nothing"))
            guard case .failed(let text) = try await session.call("fail", #"{"reason":"no such city"}"#) else {
                Issue.record("a failure is no result")
                return
            }
            #expect(text.contains("no such city"))
        }
    }
}
