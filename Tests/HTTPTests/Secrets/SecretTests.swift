import Domain
import FoundationEssentials
import HsafaClient
import JSON
import Postgres
import Runtime
import TestServers
import TestSupport
import Testing

/// Secrets over the API: written, listed, deleted, and never given back.
struct SecretTests {
    static let value: String = {
        let value = "vault-\(UUID.version7().lowercased)/+é"
        SuiteLog.noteSecret(value)
        return value
    }()

    static func body(_ value: String, _ hosts: [String]) -> String {
        RawJSON.object { writer in
            writer.field("value", string: value)
            writer.field("hosts", raw: .array { list in for host in hosts { list.string(host) } })
        }.string
    }

    @Test func `a secret is stored, listed without its value, changed and deleted`() async throws {
        let tenant = try await TestTenant.make()
        let created = try await tenant.send("PUT", "/api/secrets/TOKEN", Self.body(Self.value, ["*.example.org", "10.0.0.5:8443"]))
        #expect(created.status == 201)
        #expect(created.header("Location") == "/api/secrets/TOKEN")
        #expect(try created.json()["hosts"]?.elements.compactMap(\.string) == ["*.example.org", "10.0.0.5:8443"])
        // Again: nothing happens, and nothing is noted.
        #expect(
            try await tenant.send("PUT", "/api/secrets/TOKEN", Self.body(Self.value, ["*.example.org", "10.0.0.5:8443"])).status == 200)
        #expect(try await tenant.send("GET", "/api/audit?action=secret.set").data().count == 1)
        #expect(try await tenant.send("PUT", "/api/secrets/TOKEN", Self.body(Self.value, ["other.test"])).status == 200)
        #expect(try await tenant.send("GET", "/api/audit?action=secret.set").data().count == 2)
        _ = try await tenant.client.secrets.set("ANOTHER", value: Self.value, hosts: ["a.test"])
        let list = try await tenant.client.secrets.list()
        #expect(list.items.map(\.name) == ["ANOTHER", "TOKEN"] && list.items[1].hosts == ["other.test"])
        let page = try await tenant.client.secrets.list(limit: 1)
        #expect(try await tenant.client.secrets.list(cursor: page.nextCursor).items.map(\.name) == ["TOKEN"])
        for text in [created.text, list.items[0].json.string, try await tenant.send("GET", "/api/audit").text] {
            #expect(!text.contains(Self.value) && !text.contains("sealed"))
        }
        // What is stored is sealed.
        let rows = try await tenant.gateway.environment.owner.query(
            "SELECT sealed::text, to_jsonb(s)::text FROM hsafa.secrets s WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone)
        #expect(rows.count == 2)
        for row in rows {
            let text = try row.decode(1, as: String.self)
            #expect(!text.contains("vault-"))
        }
        try await tenant.client.secrets.delete("TOKEN")
        try await tenant.send("DELETE", "/api/secrets/TOKEN").expectProblem(404, "secret_not_found")
        #expect(try await tenant.client.secrets.list().items.map(\.name) == ["ANOTHER"])
    }

    @Test(arguments: [
        (#"{"hosts":["a.test"]}"#, "/value"), (#"{"value":"12345678"}"#, "/hosts"), (#"{"value":"12345678","hosts":[]}"#, "/hosts"),
        (#"{"value":"1234567","hosts":["a.test"]}"#, "/value"), (#"{"value":"1234567\u0000","hosts":["a.test"]}"#, "/value"),
        (#"{"value":1,"hosts":["a.test"]}"#, "/value"), (#"{"value":"12345678","hosts":["*"]}"#, "/hosts/0"),
        (#"{"value":"12345678","hosts":["a.test","https://b.test"]}"#, "/hosts/1"), (#"{"value":"12345678","hosts":"a.test"}"#, "/hosts"),
        (#"{"value":"12345678","hosts":["127.1"]}"#, "/hosts/0"), (#"{"value":"12345678","hosts":["a.test"],"name":"X"}"#, "/name"),
    ])
    func `a body that is wrong is refused with its place`(_ body: String, _ pointer: String) async throws {
        let tenant = try await TestTenant.make()
        let answer = try await tenant.send("PUT", "/api/secrets/TOKEN", body)
        try answer.expectProblem(422, "invalid_body")
        #expect(try answer.pointers() == [pointer])
        #expect(!answer.text.contains("12345678"))
    }

    @Test func `names, scopes and a gateway without a master key`() async throws {
        let tenant = try await TestTenant.make()
        for name in ["1A", "_A", "A-B", "%C3%84", String(repeating: "A", count: 65)] {
            try await tenant.send("PUT", "/api/secrets/\(name)", Self.body(Self.value, ["a.test"])).expectProblem(
                422, "invalid_secret_name")
            try await tenant.send("DELETE", "/api/secrets/\(name)").expectProblem(404, "secret_not_found")
        }
        try await tenant.send("GET", "/api/secrets?cursor=no-cursor").expectProblem(400, "invalid_query")
        let reader = try await TestTenant.make(scopes: [.secretsRead])
        try await reader.send("PUT", "/api/secrets/A", Self.body(Self.value, ["a.test"])).expectProblem(403, "missing_scope")
        #expect(try await reader.send("GET", "/api/secrets").status == 200)
        let writer = try await TestTenant.make(scopes: [.secretsWrite])
        try await writer.send("GET", "/api/secrets").expectProblem(403, "missing_scope")
        let bare = try await TestGateway.running(in: try await .fresh()) { $0.masterKeys = nil }
        let other = try await TestTenant.make(on: bare)
        try await other.send("PUT", "/api/secrets/A", Self.body(Self.value, ["a.test"])).expectProblem(503, "no_master_key")
        #expect(try await other.send("GET", "/api/secrets").data().isEmpty)
    }

    @Test func `two tenants have secrets of one name, each its own`() async throws {
        let (first, second) = (try await TestTenant.make(), try await TestTenant.make())
        #expect(try await first.send("PUT", "/api/secrets/TOKEN", Self.body(Self.value, ["a.test"])).status == 201)
        #expect(try await second.send("PUT", "/api/secrets/TOKEN", Self.body("another-value", ["b.test"])).status == 201)
        #expect(try await first.client.secrets.list().items.first?.hosts == ["a.test"])
        try await second.client.secrets.delete("TOKEN")
        #expect(try await first.client.secrets.list().items.count == 1)
    }

    @Test func `a config that names a secret which is not there, or a host to which it may not go, is not published`() async throws {
        let tenant = try await TestTenant.make()
        func publish(_ name: String, _ tool: String) async throws -> Answer {
            try await tenant.send(
                "POST", "/api/agents", #"{"name":"\#(name)","config":\#(Config.text(name, steps: [Config.says], tools: [tool]))}"#)
        }
        let tool = #"{"name":"t","executionType":"request","execution":{"url":"https://a.test/x","headers":{"X-Key":"${secret.TOKEN}"}}}"#
        let missing = try await publish("a", tool)
        try missing.expectProblem(422, "secret_not_usable")
        #expect(try missing.pointers() == ["/config/tools/0/execution"])
        #expect(try await tenant.send("PUT", "/api/secrets/TOKEN", Self.body(Self.value, ["b.test"])).status == 201)
        try await publish("a", tool).expectProblem(422, "secret_not_usable")
        #expect(try await tenant.send("PUT", "/api/secrets/TOKEN", Self.body(Self.value, ["b.test", "a.test"])).status == 200)
        #expect(try await publish("a", tool).status == 201)
        for execution in [#"{"url":"https://a.test/${env.HOME}"}"#, #"{"url":"https://a.test/${MASTER_KEY}"}"#] {
            try await publish("b", #"{"name":"t","executionType":"request","execution":\#(execution)}"#).expectProblem(422, "invalid_body")
        }
    }
}
