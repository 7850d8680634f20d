import JSON
import MCP
import TestServers
import Testing

/// What a session does beyond asking and being answered, against the official SDK.
struct SessionTests {
    @Test func `a call that is given up is canceled at the server`() async throws {
        for (line, mode) in [(MCPServerProcess.Line.one, MCPServerProcess.Mode.http), (.two, .http), (.one, .sse)] {
            let server = try await MCPServerProcess.start(line, mode)
            try await Conversing.with(server.url) { session async throws in
                let slow = try await session.tool("slow")
                let call = Task { try await session.call(slow, arguments: .emptyObject, deadline: Conversing.patience) }
                try await until { try await session.json("state").contains(#""slow":1"#) }
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.value }
                try await until { try await session.json("state").contains(#""cancelled":1"#) }
            }
            server.kill()
        }
    }

    @Test func `a deadline ends a call, and the server hears of it`() async throws {
        let server = try await MCPServerProcess.start(.one, .http)
        try await Conversing.with(server.url) { session async throws in
            let slow = try await session.tool("slow")
            // Longer each time, until the server has begun before the deadline.
            var seconds = 2
            repeat {
                let error = await #expect(throws: MCPError.self) {
                    try await session.call(slow, arguments: .emptyObject, deadline: .now.advanced(by: .seconds(seconds)))
                }
                #expect(error?.code == .timeout)
                seconds *= 3
            } while try await session.json("state").contains(#""slow":0"#)
            try await until { try await !session.json("state").contains(#""cancelled":0"#) }
        }
        server.kill()
    }

    @Test func `a stream that its server lets go of is taken up again`() async throws {
        // Its own: the SDK names streams by the numbers of requests, which sessions of one store have in common.
        let server = try await MCPServerProcess.start(.one, .resumable)
        try await Conversing.with(server.url) { session async throws in #expect(try await session.json("poll") == #""polled""#) }
    }

    @Test(arguments: [MCPServerProcess.Mode.http, .sse])
    func `the server's questions are refused, its pings answered`(_ mode: MCPServerProcess.Mode) async throws {
        let server = try await MCPServerProcess.shared(.one, mode)
        try await Conversing.with(server.url) { session async throws in
            guard case .failed(let text) = try await session.call("ask") else {
                Issue.record("nobody can have answered")
                return
            }
            #expect(text.contains("Method not found"))
            // Over streamable HTTP the SDK pings on a stream of its own, which this client does not open.
            if mode == .sse { #expect(try await session.json("ping_client") == #""pong""#) }
        }
    }

    @Test func `a tool that needs input cannot be used, and says why`() async throws {
        let server = try await MCPServerProcess.shared(.two, .http)
        try await Conversing.with(server.url) { session async throws in
            switch await Result(catching: { try await session.call("ask") }) {
            case .success(.failed): break
            case .success(.result(let json)): Issue.record("nobody can have answered: \(json)")
            case .failure(let error): #expect(error is MCPError)
            }
        }
    }

    @Test func `a change of the list is heard of`() async throws {
        let server = try await MCPServerProcess.start(.one, .sse)
        try await Conversing.with(server.url) { session async throws in
            #expect(!session.takeToolsChanged())
            #expect(try await session.list().tools.contains { $0.name == "grown" } == false)
            #expect(try await session.json("grow") == #""grown""#)
            #expect(session.takeToolsChanged())
            #expect(!session.takeToolsChanged())
            #expect(try await session.json("grown") == #"{"result":"new"}"#)
        }
        server.kill()
    }

    @Test func `a server that comes back without its sessions is spoken to anew`() async throws {
        let first = try await MCPServerProcess.start(.one, .http)
        try await Conversing.with(first.url) { session async throws in
            let echo = try await session.tool("echo")
            first.kill()
            let gone = await #expect(throws: MCPError.self) {
                try await session.call(echo, arguments: .emptyObject, deadline: Conversing.patience)
            }
            #expect(gone?.code == .unreachable || gone?.code == .interrupted)
            let second = try await MCPServerProcess.start(.one, .http, port: first.port)
            #expect(
                try await session.call(echo, arguments: RawJSON(#"{"text":"again"}"#), deadline: Conversing.patience)
                    == .result(RawJSON(#""again""#)))
            second.kill()
        }
    }

    @Test func `a server of another era in the old one's place is found out`() async throws {
        let client = Conversing.client()
        for lines in [(MCPServerProcess.Line.one, MCPServerProcess.Line.two), (.two, .one)] {
            let first = try await MCPServerProcess.start(lines.0, .http)
            try await Conversing.with(first.url, client: client) { session async throws in
                #expect(try await session.json("echo", #"{"text":"a"}"#) == #""a""#)
            }
            first.kill()
            let second = try await MCPServerProcess.start(lines.1, .http, port: first.port)
            try await Conversing.with(first.url, client: client) { session async throws in
                #expect(try await session.json("echo", #"{"text":"b"}"#) == #""b""#)
                // The new line still understands the old era, so there is nothing to find out in that direction.
                #expect(session.era == .legacy)
            }
            second.kill()
        }
    }
}

extension Result where Failure == any Error {
    init(catching body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}

/// Asks again and again, for at most two minutes.
func until(_ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now.advanced(by: .seconds(120))
    while try await !condition() {
        guard ContinuousClock.now < end else { throw ServerFailure(description: "it did not come to pass") }
        try await Task.sleep(for: .milliseconds(20))
    }
}
