import AsyncHTTPClient
import Domain
import NIOCore
import NIOSSL
import Storage
import TestServers
import Testing

@testable import Runtime

struct EgressGuardTests {
    @Test func `a name that stands for a private address is refused, and nobody is connected to`() async throws {
        let server = try await ToolServer { _ in .init(200, "inside") }
        try await TestEgress.with(names: [
            "inside.test": [["127.0.0.1"]], "mixed.test": [["93.184.216.34", "127.0.0.1"]], "mapped.test": [["::ffff:127.0.0.1"]],
            "nat64.test": [["64:ff9b::7f00:1"]], "metadata.test": [["169.254.169.254"]],
        ]) { test in
            for name in ["inside", "mixed", "mapped", "nat64", "metadata"] {
                try await test.expectRefusal("http://\(name).test:\(server.port)/", .denied)
            }
            for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"] {
                try await test.expectRefusal("http://\(host):\(server.port)/", .denied)
            }
            try await test.expectRefusal("http://nowhere.test/", .unresolved)
        }
        #expect(server.connections == 0)
        await server.close()
    }

    @Test func `a listed address is reached by its name, and the Host is the name's`() async throws {
        let server = try await ToolServer { _ in .init(200, "hello") }
        try await TestEgress.with(try TestEgress.allowing("127.0.0.1:\(server.port)"), names: ["tool.test": [["127.0.0.1"]]]) { test in
            let response = try await test.get("http://Tool.test.:\(server.port)/a?b#c")
            #expect(response.status == 200)
            #expect(String(decoding: response.body, as: UTF8.self) == "hello")
            #expect(server.received.first?.uri == "/a?b")
            #expect(server.received.first?.header("host") == "tool.test:\(server.port)")
        }
        await server.close()
    }

    @Test func `the connection goes to the address that was judged, though the name stands for another a moment later`() async throws {
        let server = try await ToolServer(host: "127.0.0.1") { _ in .init(200, "the judged one") }
        let other = try await ToolServer(host: "127.0.0.2", port: server.port) { _ in .init(200, "the rebound one") }
        try await TestEgress.with(
            try TestEgress.allowing("127.0.0.1:\(server.port)"), names: ["rebind.test": [["127.0.0.1"], ["127.0.0.2"]]]
        ) { test in
            let response = try await test.get("http://rebind.test:\(server.port)/")
            #expect(String(decoding: response.body, as: UTF8.self) == "the judged one")
            // Each request is judged anew, an idle connection to the first address notwithstanding.
            try await test.expectRefusal("http://rebind.test:\(server.port)/", .denied)
            #expect(test.resolver.questions == 2)
        }
        #expect(other.connections == 0)
        await server.close()
        await other.close()
    }

    @Test func `a name that is written in punycode is pinned like another`() async throws {
        let server = try await ToolServer { _ in .init(200, "ok") }
        let name = "xn--bcher-kva.test"
        try await TestEgress.with(try TestEgress.allowing("127.0.0.1:\(server.port)"), names: [name: [["127.0.0.1"]]]) { test in
            let response = try await test.get("http://\(name):\(server.port)/")
            #expect(response.status == 200)
        }
        await server.close()
    }

    @Test func `TLS is spoken with the name, at the address that was judged`() async throws {
        let certificates = try TestCertificates(names: "DNS:tool.test")
        let server = try await ToolServer(tls: certificates) { _ in .init(200, "ok") }
        try await TestEgress.with(
            try TestEgress.allowing("127.0.0.1"), names: ["tool.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]]
        ) { test in
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(certificates.authority))
            var request = HTTPClientRequest(url: "https://tool.test:\(server.port)/")
            request.tlsConfiguration = configuration
            let response = try await test.egress.open(request, timeout: .seconds(30), for: test.tenant)
            #expect(try await response.body.collect(upTo: 100).readableBytes == 2)
            // The same server under a name that its certificate has not.
            request.url = "https://other.test:\(server.port)/"
            let wrong = request
            await #expect(throws: EgressError.self) { try await test.egress.open(wrong, timeout: .seconds(30), for: test.tenant) }
        }
        await server.close()
    }

    @Test func `a redirect is judged like a first request`() async throws {
        let inside = try await ToolServer { _ in .init(200, "inside") }
        let server = try await ToolServer { request in .redirect(302, String(request.uri.dropFirst(2))) }
        try await TestEgress.with(
            try TestEgress.allowing("127.0.0.1:\(server.port)"),
            names: ["tool.test": [["127.0.0.1"]], "evil.test": [["127.0.0.1"]]]
        ) { test in
            let base = "http://tool.test:\(server.port)/?"
            try await test.expectRefusal(base + "http://127.0.0.1:\(inside.port)/", .denied)
            try await test.expectRefusal(base + "http://evil.test:\(inside.port)/", .denied)
            try await test.expectRefusal(base + "http://2130706433/", .redirect)
            try await test.expectRefusal(base + "file:///etc/passwd", .redirect)
            try await test.expectRefusal(base + "http://user@tool.test/", .redirect)
            try await test.expectRefusal(base + "/?/x", .redirect)
        }
        #expect(inside.connections == 0)
        #expect(server.received.count <= 5 + Limits.maxRedirects + 1)
        await server.close()
        await inside.close()
    }

    @Test func `credentials and secrets stay with their origin when it redirects to another`() async throws {
        let other = try await ToolServer { _ in .init(200, "other") }
        let server = try await ToolServer { request in
            request.uri.hasPrefix("/same")
                ? .redirect(307, "/end") : request.uri == "/end" ? .init(200, "end") : .redirect(307, request.uri)
        }
        let second = try await ToolServer { request in .redirect(307, "http://other.test:\(other.port)/") }
        let secret = "s3cr3t-value-é"
        let secrets = SecretValues([Secret(name: "KEY", value: secret, hosts: [])])
        try await TestEgress.with(
            try TestEgress.allowing("127.0.0.1"), names: ["tool.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]]
        ) { test in
            let headers = [("authorization", "Bearer x"), ("cookie", "a=b"), ("x-token", "t:s3cr3t-value"), ("x-plain", "plain")]
            let plain = SecretValues([Secret(name: "KEY", value: "s3cr3t-value", hosts: [])])
            _ = try await test.get("http://tool.test:\(second.port)/", headers: headers, secrets: plain)
            let redirected = try #require(other.received.last)
            for name in ["authorization", "cookie", "x-token"] { #expect(redirected.header(name) == nil) }
            #expect(redirected.header("x-plain") == "plain")
            _ = try await test.get("http://tool.test:\(server.port)/same", headers: headers, secrets: plain)
            #expect(server.received.last?.header("x-token") == "t:s3cr3t-value")
            // A body goes along with a 307: not where a secret is in it.
            let posted = OutboundRequest(
                method: "POST", url: try OutboundURL("http://tool.test:\(second.port)/"), headers: [], body: Array("k=\(secret)".utf8),
                timeout: .seconds(30), maxBodyBytes: 100, redirects: .follow, secrets: secrets)
            let error = try await #require(throws: EgressError.self) { _ = try await test.egress.send(posted, for: test.tenant) }
            #expect(error.code == .redirect)
        }
        #expect(other.received.count == 1)
        for server in [server, second, other] { await server.close() }
    }

    @Test func `an answer is cut at its bound, a broken one is an error, a silent one runs out of time`() async throws {
        let server = try await ToolServer { request in
            switch request.uri {
            case "/large": .init(200, String(repeating: "x", count: 5000))
            case "/exact": .init(200, String(repeating: "x", count: 1024))
            case "/mute": .mute
            default:
                {
                    var reply = ToolServer.Reply(200, String(repeating: "x", count: 100)); reply.isCut = true; return reply
                }()
            }
        }
        try await TestEgress.with(try TestEgress.allowing("127.0.0.1")) { test in
            let base = "http://127.0.0.1:\(server.port)"
            let large = try await test.get(base + "/large")
            #expect(large.isCut && large.body.count == 1024)
            #expect(try await !test.get(base + "/exact").isCut)
            try await test.expectRefusal(base + "/cut", .unreachable)
            let mute = OutboundRequest(
                method: "GET", url: try OutboundURL(base + "/mute"), headers: [], body: nil, timeout: .milliseconds(50), maxBodyBytes: 10,
                redirects: .follow, secrets: .none)
            let error = try await #require(throws: EgressError.self) { _ = try await test.egress.send(mute, for: test.tenant) }
            #expect(error.code == .timeout)
        }
        await server.close()
    }

    @Test func `a second address is tried where the first takes no connection`() async throws {
        let server = try await ToolServer(host: "127.0.0.2") { _ in .init(200, "second") }
        try await TestEgress.with(
            try TestEgress.allowing("127.0.0.0/8"), names: ["two.test": [["127.0.0.1", "127.0.0.2"]]]
        ) { test in
            let response = try await test.get("http://two.test:\(server.port)/")
            #expect(response.status == 200)
        }
        await server.close()
    }

    @Test func `tenants share no connection, and one tenant's idle one is used again`() async throws {
        let server = try await ToolServer { _ in .init(200, "ok") }
        try await TestEgress.with(try TestEgress.allowing("127.0.0.1")) { test in
            let url = "http://127.0.0.1:\(server.port)/"
            _ = try await test.get(url)
            _ = try await test.get(url)
            #expect(server.connections == 1)
            let request = HTTPClientRequest(url: url)
            let other = TenantScope(tenantID: .generate(), slug: "other")
            _ = try await test.egress.open(request, timeout: .seconds(30), for: other).body.collect(upTo: 100)
            #expect(server.connections == 2)
        }
        await server.close()
    }

    @Test func `ways to hosts are bounded in number, and those in use stay`() async throws {
        let server = try await ToolServer { _ in .init(200, "ok") }
        try await TestEgress.with(try TestEgress.allowing("127.0.0.1")) { test in
            let held = try await test.egress.open(
                HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/held"), timeout: .seconds(30), for: test.tenant)
            for _ in 0..<Limits.maxPinnedClients + 20 {
                let tenant = TenantScope(tenantID: .generate(), slug: "t")
                _ = try? await test.egress.open(
                    HTTPClientRequest(url: "http://127.0.0.1:1/"), timeout: .seconds(30), for: tenant)
            }
            #expect(test.egress.openWays <= Limits.maxPinnedClients)
            #expect(try await held.body.collect(upTo: 100).readableBytes == 2)
        }
        await server.close()
    }
}
