import Domain
import Foundation
import Glibc
import HsafaClient
import JSON
import TestServers
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
        (["PORT": "http"], "PORT is http; it must be a whole number from 1 to 65535"),
        (["HOST": "256.1.1.1"], "256.1.1.1"),
        (["DATABASE_URL": "mysql://u:hunter2@h/x"], "DATABASE_URL is no libpq connection URL"),
        (["DATABASE_URL": "postgresql://u:hunter2@h:port/x"], "its port must be a number from 1 to 65535"),
        (["DATABASE_URL": "postgresql://u:hunter2@h/x?sslmode=perhaps"], "its sslmode must be one of disable, allow"),
        (["DATABASE_OWNER_URL": "mysql://u:hunter2@h/x"], "DATABASE_OWNER_URL is no libpq connection URL"),
        (["REDIS_URL": "http://u:hunter2@h"], "REDIS_URL is not usable"),
        (["PUBLIC_URL": "ftp://u:hunter2@h"], "PUBLIC_URL must be an http or https URL of a host"),
        (["PUBLIC_URL": "https://u:hunter2@h"], "PUBLIC_URL must be an http or https URL of a host"),
        (["PUBLIC_URL": "https://"], "PUBLIC_URL must be an http or https URL of a host"),
        (["PUBLIC_URL": "https://h/?key=hunter2"], "PUBLIC_URL must be an http or https URL of a host"),
        (["POLICIES_DIR": "/no/such/folder"], "/no/such/folder"),
        (["MASTER_KEY": "hunter2"], "MASTER_KEY"),
        (["RUN_LEASE_SECONDS": "2"], "RUN_LEASE_SECONDS is 2; it must be a whole number from 3 to 600"),
        (["DEVICE_HEARTBEAT_SECONDS": "soon"], "DEVICE_HEARTBEAT_SECONDS is soon; it must be a whole number from 1 to 300"),
        (["MAX_CONCURRENT_RUNS": "-1"], "MAX_CONCURRENT_RUNS is -1; it must be a whole number from 1 to 10000"),
        (["LOG_LEVEL": "loud"], "LOG_LEVEL is loud; it can be trace, debug"),
        (["LOG_FORMAT": "xml"], "LOG_FORMAT is xml; it can be text or json"),
        (["METRICS_PORT": "70000"], "METRICS_PORT is 70000; it must be a whole number from 1 to 65535"),
        (["METRICS_PORT": "4321", "PORT": "4321"], "METRICS_PORT is 4321, as PORT is"),
    ])
    func `a wrong setting is named, and nothing starts`(settings: [String: String], sentence: String) async throws {
        let gateway = try GatewayProcess(try await TestEnvironment.start(), settings: settings)
        #expect(try gateway.runToEnd() != 0)
        let lines = try lines(gateway)
        #expect(lines.contains { $0.contains(sentence) }, "\(lines)")
        // No part of a value that may be a password is repeated.
        #expect(!lines.contains { $0.contains("hunter2") }, "\(lines)")
    }

    @Test func `metrics are served on their own port, and there alone`() async throws {
        let port = try freePort()
        let gateway = try GatewayProcess(try await TestEnvironment.fresh(), settings: ["METRICS_PORT": String(port)])
        try await gateway.start()
        let http = HsafaClient.makeHTTPClient()
        let metrics = HsafaClient(baseURL: "http://127.0.0.1:\(port)", apiKey: nil, httpClient: http)
        let served = try await metrics.raw("GET", "/metrics")
        #expect(served.status == 200)
        #expect(String(decoding: served.body, as: UTF8.self).contains("# TYPE hsafa_"))
        #expect(try await metrics.raw("GET", "/api/agents").status == 404)
        let api = HsafaClient(baseURL: gateway.url, apiKey: nil, httpClient: http)
        #expect(try await api.raw("GET", "/metrics").status == 404)
        await metrics.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
