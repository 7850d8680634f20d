import Domain
import Foundation
import Glibc
import HsafaClient
import JSON
import TestSupport
import Testing

/// What an operator sees of the real binary: its log, its signals, its refusals to start.
@Suite struct ServeTests {
    private func lines(_ gateway: GatewayProcess) throws -> [Substring] {
        try String(contentsOfFile: gateway.logFile, encoding: .utf8).split(separator: "\n")
    }

    private func ask(_ gateway: GatewayProcess, key: String, id: String) async throws {
        let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        _ = try await client.raw("GET", "/api/agents?limit=3", headers: [("X-Request-Id", id)])
        await client.shutdown()
    }

    @Test func `in JSON each entry is one object on one line, and a request has its fields`() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let gateway = try GatewayProcess(environment, settings: ["LOG_FORMAT": "json"])
        try await gateway.start()
        try await ask(gateway, key: try await environment.makeKey(scope), id: "json-one")
        #expect(gateway.terminate() == 0)
        let entries = try lines(gateway).map { try JSONDocument(parsing: Array($0.utf8)).root }
        let requests = entries.filter { $0["requestId"]?.string == "json-one" && $0["message"]?.string == "request" }
        #expect(requests.count == 1)
        let request = try #require(requests.first)
        #expect(request["tenant"]?.string == scope.tenantID.description)
        #expect(request["route"]?.string == "/api/agents" && request["method"]?.string == "GET" && request["status"]?.string == "200")
        #expect(request["ms"]?.string.flatMap { Double($0) } ?? -1 > 0)
        #expect(request["level"]?.string == "info" && request["ts"]?.string?.hasSuffix("Z") == true)
    }

    @Test func `in text a request is one line with the same fields`() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        try await ask(gateway, key: try await environment.makeKey(scope), id: "text-one")
        #expect(gateway.terminate() == 0)
        let requests = try lines(gateway).filter { $0.contains("requestId=text-one") }
        #expect(requests.count == 1)
        for field in [
            " info request ", " method=GET", " route=/api/agents ", " status=200", " tenant=\(scope.tenantID.description)", " ms=",
        ] {
            #expect(requests.first?.contains(field) == true, "\(field)")
        }
    }

    @Test func `SIGHUP does not end the gateway`() async throws {
        let gateway = try GatewayProcess(try await TestEnvironment.fresh())
        try await gateway.start()
        gateway.signal(SIGHUP)
        let client = try HsafaClient(baseURL: gateway.url, apiKey: nil, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        for _ in 0..<20 { #expect(try await client.raw("GET", "/health").status == 200) }
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }

    @Test(arguments: [
        (["TLS_CERTIFICATE_FILE": "/tmp/cert.pem"], "TLS_CERTIFICATE_FILE and TLS_KEY_FILE go together"),
        (["TLS_CERTIFICATE_FILE": "/no/cert.pem", "TLS_KEY_FILE": "/no/key.pem"], "TLS: /no/cert.pem: No such file or directory"),
        (["CORS_ORIGINS": "app.example.org"], "CORS_ORIGINS has app.example.org, which is no origin"),
        (
            ["MAX_CONNECTIONS_PER_ADDRESS": "0"],
            "MAX_CONNECTIONS_PER_ADDRESS is 0; it must be a whole number from 1 to 20000"
        ),
        (["PORT": "0"], "PORT is 0; it must be a whole number from 1 to 65535"),
    ])
    func `a wrong setting is named, and nothing starts`(settings: [String: String], sentence: String) async throws {
        let gateway = try GatewayProcess(try await TestEnvironment.start(), settings: settings)
        #expect(try gateway.runToEnd() != 0)
        let lines = try lines(gateway)
        #expect(lines.contains { $0.contains(sentence) }, "\(lines)")
    }
}
