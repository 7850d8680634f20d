import Domain
import HsafaClient
import NIOHTTP1
import TestSupport
import Testing

@testable import GatewayHTTP

/// What every answer carries, and what browsers are told.
struct EdgeTests {
    private func expectSecurity(_ answer: Answer, _ what: String) {
        #expect(answer.headers["X-Content-Type-Options"] == ["nosniff"], "\(what)")
        #expect(answer.headers["Referrer-Policy"] == ["no-referrer"], "\(what)")
        #expect(answer.headers["Content-Security-Policy"] == ["default-src 'none'; frame-ancestors 'none'"], "\(what)")
        #expect(answer.header("Strict-Transport-Security") == nil, "\(what): no promise of TLS without TLS")
        #expect(answer.header("Server") == nil && answer.header("X-Powered-By") == nil, "\(what)")
        #expect(answer.header("Access-Control-Allow-Origin") == nil, "\(what): CORS is off")
    }

    @Test func `every answer carries the security headers, once: results, failures, streams, and refusals below HTTP`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.says])
        let requests = [
            ("GET", "/health"), ("HEAD", "/health"), ("GET", "/openapi.yaml"), ("GET", "/api/agents"), ("GET", "/nowhere"),
            ("PUT", "/api/agents"), ("OPTIONS", "/api/agents"), ("GET", "/devices/connect"), ("GET", "/api/runs/\(run)/events"),
        ]
        for (method, path) in requests {
            let answer = try await tenant.send(method, path, headers: [("Origin", "https://app.example.org")])
            expectSecurity(answer, "\(method) \(path)")
        }
        // Pages of any origin may watch (RunTokenWallTests); one that names no origin is no page.
        expectSecurity(try await tenant.send("GET", "/api/runs/\(run)/stream"), "the stream")
        for bytes in ["nonsense\r\n\r\n", "GET /\(String(repeating: "a", count: Limits.maxURIBytes)) HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let answer = try await RawConnection.open(tenant.gateway) { connection in
                try await connection.send(bytes)
                return try await connection.answer()
            }
            #expect(answer.status >= 400)
            expectSecurity(answer, String(bytes.prefix(20)))
        }
    }

    // MARK: CORS

    private static let allowed = "https://app.example.org"
    private static func gateway(_ origins: String) async throws -> TestGateway {
        try await TestGateway.running(in: try await .fresh(), listener: ListenerConfiguration(cors: try CORSOrigins(parsing: origins)))
    }
    private static let listed = Task { try await gateway("https://app.example.org, http://localhost:5173") }

    private func preflight(_ gateway: TestGateway, _ path: String, origin: String, method: String = "POST") async throws -> Answer {
        try await gateway.client(key: nil).send(
            "OPTIONS", path,
            headers: [
                ("Origin", origin), ("Access-Control-Request-Method", method),
                ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key"),
            ])
    }

    @Test func `a preflight of an allowed origin is answered without a key, for routes alone`() async throws {
        let gateway = try await Self.listed.value
        for origin in [Self.allowed, "http://localhost:5173"] {
            let answer = try await preflight(gateway, "/api/agents", origin: origin)
            #expect(answer.status == 204)
            #expect(answer.headers["Access-Control-Allow-Origin"] == [origin])
            #expect(answer.header("Access-Control-Allow-Methods") == "POST, GET, HEAD")
            for name in ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"] {
                #expect(answer.header("Access-Control-Allow-Headers")?.contains(name) == true)
            }
            #expect(answer.header("Access-Control-Max-Age") == "600")
            #expect(answer.headers[canonicalForm: "Vary"].contains("Origin"))
            #expect(answer.header("Access-Control-Allow-Credentials") == nil)
        }
        try await preflight(gateway, "/api/nothing", origin: Self.allowed).expectProblem(404, "route_not_found")
        // OPTIONS that is no preflight is a method like any other.
        let plain = try await gateway.client(key: nil).send("OPTIONS", "/api/agents", headers: [("Origin", Self.allowed)])
        try plain.expectProblem(405, "method_not_allowed")
    }

    @Test func `an allowed origin may read results and failures`() async throws {
        let tenant = try await TestTenant.make(on: try await Self.listed.value)
        let run = try await tenant.run(steps: [Config.says])
        for path in ["/api/agents", "/api/agents/\(unknownID())", "/nowhere", "/api/runs/\(run)/events"] {
            let answer = try await tenant.send("GET", path, headers: [("Origin", Self.allowed)])
            #expect(answer.headers["Access-Control-Allow-Origin"] == [Self.allowed], "\(path)")
            for name in ["X-Request-Id", "Retry-After", "Location", "RateLimit"] {
                #expect(answer.header("Access-Control-Expose-Headers")?.contains(name) == true, "\(path)")
            }
            #expect(answer.headers["Vary"] == ["Origin"])
            #expect(answer.header("Access-Control-Allow-Credentials") == nil)
        }
    }

    @Test(arguments: [
        "https://evil.example.org", "https://app.example.org.evil.com", "http://app.example.org", "https://app.example.org:8443", "null",
        "https://APP.example.org", "",
    ])
    func `another origin gets its answer without the headers that would let a page read it`(origin: String) async throws {
        let tenant = try await TestTenant.make(on: try await Self.listed.value)
        let answer = try await tenant.send("GET", "/api/agents", headers: [("Origin", origin)])
        #expect(answer.status == 200)
        let preflight = try await preflight(tenant.gateway, "/api/agents", origin: origin)
        #expect(preflight.status == 405)
        for answer in [answer, preflight] {
            #expect(!answer.headers.contains { $0.name.lowercased().hasPrefix("access-control-") })
            #expect(answer.headers["Vary"] == ["Origin"], "a cache must not give this answer to another origin")
        }
    }

    @Test func `a star allows every origin, and never credentials`() async throws {
        let tenant = try await TestTenant.make(on: try await Self.gateway("*"))
        let answer = try await tenant.send("GET", "/api/agents", headers: [("Origin", "https://anybody.example")])
        #expect(answer.header("Access-Control-Allow-Origin") == "*")
        #expect(answer.header("Access-Control-Allow-Credentials") == nil)
        #expect(try await preflight(tenant.gateway, "/api/runs", origin: "null").header("Access-Control-Allow-Origin") == "*")
        #expect(try await tenant.send("GET", "/api/agents").header("Access-Control-Allow-Origin") == nil)
    }

    @Test func `origins are read strictly`() throws {
        #expect(try CORSOrigins(parsing: " * ") == .any)
        #expect(try CORSOrigins(parsing: "https://a.b , http://[::1]:80") == .list(["https://a.b", "http://[::1]:80"]))
        let bad = [
            "", ",", "a.b", "https://a.b/", "https://a.b/path", "https://A.b", "https://a.b:0", "https://a.b:65536", "https://a.b:", "null",
            "*,https://a.b", "ftp://a.b", "https://", "https://a b", "https://user@a.b", "https://*.a.b",
            (0...Limits.maxCORSOrigins).map { "https://h\($0)" }.joined(separator: ","),
        ]
        for text in bad { #expect(throws: CORSOrigins.Invalid.self, "\(text)") { try CORSOrigins(parsing: text) } }
        let most = (0..<Limits.maxCORSOrigins).map { "https://h\($0)" }.joined(separator: ",")
        #expect(throws: Never.self) { try CORSOrigins(parsing: most) }
    }
}
