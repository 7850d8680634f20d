import Domain
import HsafaClient
import Logging
import NIOCore
import TestSupport
import Testing

@testable import GatewayHTTP

/// One line a request, with what an operator asks for and nothing that must stay secret.
@Suite(.timeLimit(.minutes(5)))
struct LogTests {
    private static func gateway(_ change: (inout ListenerConfiguration) -> Void = { _ in }) async throws -> (TestGateway, RecordedLog) {
        let log = RecordedLog()
        var listener = ListenerConfiguration()
        change(&listener)
        return (try await TestGateway.running(in: try await .fresh(), listener: listener, logger: log.makeLogger()), log)
    }

    private func line(_ log: RecordedLog, _ id: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> [String: String]
    {
        _ = await eventually { !log.lines("request").filter { $0.metadata["requestId"] == id }.isEmpty }
        let lines = log.lines("request").filter { $0.metadata["requestId"] == id }
        #expect(lines.count == 1, sourceLocation: sourceLocation)
        return try #require(lines.first, sourceLocation: sourceLocation).metadata
    }

    @Test func `a request has one line, with tenant, route, status and duration, and without its query`() async throws {
        let (gateway, log) = try await Self.gateway()
        let tenant = try await TestTenant.make(on: gateway)
        let id = unknownID()
        _ = try await tenant.send("GET", "/api/agents/\(id)?token=very-secret-indeed", headers: [("X-Request-Id", "one")])
        let line = try await line(log, "one")
        #expect(line["method"] == "GET" && line["route"] == "/api/agents/{agentId}")
        #expect(line["status"] == "400" || line["status"] == "404")
        #expect(line["tenant"] == tenant.scope.tenantID.description)
        #expect(line["ms"].flatMap { Double($0) } ?? -1 > 0)
        _ = try await gateway.client(key: nil).send("GET", "/api/agents", headers: [("X-Request-Id", "two")])
        let unknown = try await self.line(log, "two")
        #expect(unknown["status"] == "401" && unknown["tenant"] == nil)
        _ = try await tenant.send("GET", "/no/such/route", headers: [("X-Request-Id", "three")])
        #expect(try await self.line(log, "three")["route"] == "none", "a path that nobody knows may hold anything")
        #expect(!log.lines.contains { $0.metadata.values.contains { $0.contains("very-secret-indeed") || $0.contains("/no/such") } })
    }

    @Test func `a stream has its line when it ends, which says how`() async throws {
        let (gateway, log) = try await Self.gateway()
        let tenant = try await TestTenant.make(on: gateway)
        let run = try await tenant.run(steps: [Config.says])
        let whole = try await tenant.send("GET", "/api/runs/\(run)/stream", headers: [("X-Request-Id", "whole")])
        #expect(whole.text.contains("run.completed"))
        let line = try await line(log, "whole")
        #expect(line["stream"] == "whole" && line["status"] == "200" && line["route"] == "/api/runs/{runId}/stream")
        let waiting = try await tenant.run(
            "waiter", steps: [#"{"toolCalls":[{"name":"ask","arguments":{}}]}"#], tools: [Config.browser("ask")])
        try await RawConnection.open(gateway) { connection in
            try await connection.send(
                "GET /api/runs/\(waiting)/stream HTTP/1.1\r\nHost: a\r\nX-Request-Id: left\r\nAuthorization: Bearer \(tenant.key)\r\n\r\n")
            #expect(try await connection.head().status == 200)
            #expect(log.lines("request").allSatisfy { $0.metadata["requestId"] != "left" })
        }
        #expect(try await self.line(log, "left")["stream"] == "cut")
    }

    private func post(_ tenant: TestTenant, _ id: String, _ rest: String) -> String {
        "POST /api/agents HTTP/1.1\r\nHost: a\r\nX-Request-Id: \(id)\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\n\(rest)"
    }

    @Test func `a client that leaves in the middle is no failure of the gateway`() async throws {
        let (gateway, log) = try await Self.gateway()
        let tenant = try await TestTenant.make(on: gateway)
        try await RawConnection.open(gateway) { connection in
            try await connection.send(post(tenant, "gone", "Content-Length: 100\r\n\r\n{"))
        }
        // It closed its side only, and is told that its request has no end.
        #expect(try await line(log, "gone")["status"] == "400")
        let hits = gateway.metric("hsafa_auth_cache_hits_total")
        try await RawConnection.open(gateway, resets: true) { connection in
            try await connection.send(post(tenant, "reset", "Content-Length: 100\r\n\r\n{"))
            #expect(await eventually { gateway.metric("hsafa_auth_cache_hits_total") > hits })
        }
        #expect(try await line(log, "reset")["status"] == "499")
        #expect(!log.lines.contains { $0.level >= .error }, "\(log.lines.filter { $0.level >= .error })")
    }

    @Test func `a body that is broken or late is no failure of the gateway`() async throws {
        let (gateway, log) = try await Self.gateway { $0.times.body = .seconds(3) }
        let tenant = try await TestTenant.make(on: gateway)
        try await RawConnection.open(gateway) { connection in
            try await connection.send(post(tenant, "late", "Content-Length: 100\r\n\r\n{"))
            try await connection.answer().expectProblem(408, "request_timeout")
        }
        #expect(try await line(log, "late")["status"] == "408")
        try await RawConnection.open(gateway) { connection in
            try await connection.send(post(tenant, "broken", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"))
            try await connection.answer().expectProblem(400, "malformed_request")
        }
        #expect(try await line(log, "broken")["status"] == "400")
        #expect(!log.lines.contains { $0.level >= .error }, "\(log.lines.filter { $0.level >= .error })")
    }

    @Test func `what is refused below HTTP has a line and a count, and a flood of it has few lines`() async throws {
        let (gateway, log) = try await Self.gateway { $0.times.head = .seconds(3) }
        let refusals = [
            ("nonsense\r\n\r\n", "malformed", "400"), ("GET /half", "timeout", "408"),
            ("GET /\(String(repeating: "a", count: Limits.maxURIBytes)) HTTP/1.1\r\nHost: a\r\n\r\n", "uri_too_long", "414"),
            ("GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: Limits.maxHeaderBytes))\r\n\r\n", "headers_too_large", "431"),
        ]
        for (bytes, reason, status) in refusals {
            try await RawConnection.open(gateway) { connection in
                try await connection.send(bytes)
                #expect(try await connection.answer().status == Int(status))
            }
            #expect(await eventually { log.lines("connection refused").contains { $0.metadata["reason"] == reason } })
            let lines = log.lines("connection refused").filter { $0.metadata["reason"] == reason }
            #expect(lines.count == 1 && lines.first?.metadata["status"] == status)
            #expect(lines.first?.metadata["address"] == "127.0.0.1")
        }
        let before = log.lines("connection refused").count
        let start = ContinuousClock.now
        for _ in 0..<100 {
            try await RawConnection.open(gateway) { connection in
                try await connection.send("nonsense\r\n\r\n")
                _ = try await connection.answer()
            }
        }
        let seconds = Int((ContinuousClock.now - start).components.seconds) + 2
        #expect(log.lines("connection refused").count - before <= seconds * Limits.maxRefusalLinesPerSecond)
        #expect(gateway.metric("hsafa_connections_refused_total") == 104)
    }
}
