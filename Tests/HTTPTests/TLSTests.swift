import AsyncHTTPClient
import Domain
import Foundation
import HsafaClient
import JSON
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

@testable import GatewayHTTP

@Suite(.timeLimit(.minutes(5)))
struct TLSTests {
    private struct Secured {
        let gateway: TestGateway
        let certificate: Certificate
        let log: RecordedLog
    }

    private static func gateway(_ change: (inout ListenerConfiguration) -> Void = { _ in }) async throws -> Secured {
        let certificate = try Certificate.make()
        let log = RecordedLog()
        var listener = ListenerConfiguration(certificates: try CertificateStore(certificate.files, logger: log.makeLogger()))
        change(&listener)
        let gateway = try await TestGateway.running(in: try await .fresh(), listener: listener, logger: log.makeLogger())
        return Secured(gateway: gateway, certificate: certificate, log: log)
    }

    private func withClient<R>(
        _ gateway: TestGateway, key: String?, trusting certificate: Certificate, _ body: (HsafaClient) async throws -> R
    ) async throws -> R {
        var configuration = HTTPClient.Configuration(tlsConfiguration: try certificate.trust(), redirectConfiguration: .disallow)
        configuration.httpVersion = .http1Only
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let client = try HsafaClient(baseURL: "https://localhost:\(gateway.port)", apiKey: key, httpClient: http).heldToContract()
        do {
            let result = try await body(client)
            await client.shutdown()
            return result
        } catch {
            await client.shutdown()
            throw error
        }
    }

    @Test func `requests, streams and sockets go over TLS as they do without`() async throws {
        let secured = try await Self.gateway()
        let tenant = try await TestTenant.make(on: secured.gateway)
        try await withClient(secured.gateway, key: tenant.key, trusting: secured.certificate) { client in
            let health = try await client.send("GET", "/health")
            #expect(health.status == 200)
            #expect(health.header("Strict-Transport-Security") == "max-age=31536000")
            _ = try await client.agents.create(
                name: "tester",
                config: Config.simulated(
                    "tester", steps: [#"{"toolCalls":[{"name":"fs.read","arguments":{"path":"a"}}]}"#, Config.tellsResult],
                    tools: [Config.device]))
            let key = try DeviceKey()
            let registered = try await client.send(
                "POST", "/api/devices", #"{"publicKey":"\#(key.publicKey)","deviceKey":"laptop","labels":{"zone":"lab"}}"#)
            var options = DeviceConnection.Options()
            options.tls = try secured.certificate.trust()
            let device = DeviceConnection(
                gatewayURL: client.baseURL,
                identity: .init(deviceId: try registered.string("deviceId"), key: key, audience: TestGateway.audience),
                tools: [DeviceTool(name: "fs.read", inputSchema: RawJSON(#"{"type":"object"}"#))], outcomes: try OutcomeStore(),
                options: options
            ) { _ in .result(RawJSON(#""from a device over TLS""#)) }
            let connection = Task { try await device.run() }
            defer { connection.cancel() }
            let run = try await client.runs.create(agent: .name("tester"), messages: [.user("Hi")])
            var events: [HsafaClient.Event] = []
            for try await event in client.runs.stream(run.runId) { events.append(event) }
            #expect(events.map(\.seq) == Array(1...events.count))
            #expect(events.last?.type == "run.completed")
            #expect(events.last { $0.type == "assistant.message" }?["text"]?.contains("over TLS") == true)
        }
    }

    @Test func `TLS 1.2 and 1.3 are spoken, with http 1.1 by ALPN, and nothing older`() async throws {
        let secured = try await Self.gateway()
        func status(_ version: TLSVersion) async throws -> Int? {
            var configuration = try secured.certificate.trust()
            configuration.minimumTLSVersion = version
            configuration.maximumTLSVersion = version
            configuration.applicationProtocols = ["h2", "http/1.1"]
            let context = try NIOSSLContext(configuration: configuration)
            do {
                return try await RawConnection.open(secured.gateway, tls: context) { connection in
                    try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                    return try await connection.answer().status
                }
            } catch { return nil }
        }
        #expect(try await status(.tlsv12) == 200)
        #expect(try await status(.tlsv13) == 200)
        #expect(try await status(.tlsv11) == nil)
        #expect(await eventually { !secured.log.lines("connection refused").isEmpty })
    }

    @Test func `plain HTTP on the TLS port is closed without an answer`() async throws {
        let secured = try await Self.gateway()
        try await RawConnection.open(secured.gateway) { connection in
            try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            var bytes: [UInt8] = []
            while try await connection.receive() { bytes += try await connection.take(connection.available) }
            #expect(!String(decoding: bytes, as: UTF8.self).contains("HTTP/1.1"))
        }
        #expect(await eventually { secured.log.lines("connection refused").contains { $0.metadata["reason"] == "tls_handshake_failed" } })
    }

    @Test(arguments: [[], Array("\u{16}\u{3}\u{1}".utf8)])
    func `a handshake that does not come to its end is cut off`(beginning: [UInt8]) async throws {
        let secured = try await Self.gateway { $0.times.handshake = .seconds(8) }
        let start = ContinuousClock.now
        try await RawConnection.open(secured.gateway) { connection in
            if !beginning.isEmpty { try await connection.send(beginning) }
            while try await connection.receive() {}
        }
        #expect(ContinuousClock.now - start >= .milliseconds(7900))
        #expect(await eventually { secured.log.lines("connection refused").contains { $0.metadata["reason"] == "tls_handshake_timeout" } })
        // What handshakes in time is not cut afterwards.
        let context = try NIOSSLContext(configuration: try secured.certificate.trust())
        try await RawConnection.open(secured.gateway, tls: context) { connection in
            for pause in [8500, 0] {
                try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await connection.answer().status == 200)
                // Time that passes is what is under test here.
                try await Task.sleep(for: .milliseconds(pause))
            }
        }
    }

    @Test func `a new certificate is taken up without dropping a connection, a broken one is not`() async throws {
        let secured = try await Self.gateway()
        let (first, second, third) = (secured.certificate, try Certificate.make(), try Certificate.make())
        // The clients' copies: the gateway's files are written over below.
        let trustFirst = try NIOSSLContext(configuration: try first.trust())
        func isShown(_ certificate: Certificate) async -> Bool {
            (try? await withClient(secured.gateway, key: nil, trusting: certificate) { try await $0.send("GET", "/health").status }) == 200
        }
        try await RawConnection.open(secured.gateway, tls: trustFirst) { old in
            func ask() async throws -> Int {
                try await old.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                return try await old.answer().status
            }
            #expect(try await ask() == 200)
            try second.replace(first.files)
            #expect(await eventually { await isShown(second) })
            #expect(try await ask() == 200)
            // The certificate of another pair: refused, and the pair in force stays.
            try third.replace(first.files, withKey: false)
            #expect(await eventually { !secured.log.lines("the new certificate cannot be used; the old one stays").isEmpty })
            #expect(await isShown(second))
            // Its key comes a moment later, as when two files are copied one by one.
            try third.replace(first.files)
            #expect(await eventually { await isShown(third) })
            #expect(try await ask() == 200)
        }
        #expect(secured.log.lines("the new certificate cannot be used; the old one stays").count == 1, "said once, not at every look")
        #expect(secured.log.lines("certificate reloaded").count == 2)
    }

    @Test func `files that cannot be used stop the start, and are named`() throws {
        let (one, other) = (try Certificate.make(), try Certificate.make())
        func failure(_ certificate: String, _ key: String) -> String {
            do {
                _ = try CertificateStore(TLSFiles(certificate: certificate, key: key), logger: RecordedLog().makeLogger())
                return "none"
            } catch { return error.description }
        }
        #expect(failure(one.files.certificate, one.files.key) == "none")
        #expect(failure("/no/such.pem", one.files.key).hasPrefix("/no/such.pem: "))
        #expect(failure(one.files.certificate, other.files.key).contains("is not that of the first certificate"))
        #expect(failure(one.files.key, one.files.key).contains("holds no certificate"))
        #expect(failure(one.files.certificate, one.files.certificate).contains("holds no private key"))
        #expect(failure("/dev/zero", one.files.key).contains("is larger than"))
    }
}
