import Domain
import HsafaClient
import JSON
import Postgres
import TestSupport
import Testing

/// Keys as their own tenant handles them.
@Suite(.timeLimit(.minutes(5)))
struct KeyTests {
    struct Issued {
        let id: String
        let text: String
    }

    static func issue(_ tenant: TestTenant, scopes: [String] = ["agents:read"], _ more: String = "") async throws -> Issued {
        let list = scopes.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try await tenant.send("POST", "/api/keys", #"{"name":"ci","scopes":[\#(list)]\#(more)}"#)
        #expect(answer.status == 201, "\(answer.text)")
        return Issued(id: try answer.string("keyId"), text: try answer.string("key"))
    }

    private func status(_ gateway: TestGateway, _ key: String) async throws -> Int {
        try await gateway.client(key: key).send("GET", "/api/agents").status
    }

    @Test func `a key is issued, shown once, listed without its secret, and used`() async throws {
        let tenant = try await TestTenant.make()
        let answer = try await tenant.send("POST", "/api/keys", #"{"name":"ci bot","scopes":["agents:read","runs:read"]}"#)
        #expect(answer.status == 201)
        let (id, text) = (try answer.string("keyId"), try answer.string("key"))
        #expect(answer.header("Location") == "/api/keys/\(id)")
        #expect(CredentialToken(text, kind: .apiKey) != nil)
        #expect(text.hasPrefix(try answer.string("prefix") + "_"))
        #expect(try await status(tenant.gateway, text) == 200)
        try await tenant.gateway.client(key: text).send("GET", "/api/keys").expectProblem(403, "missing_scope")
        let secret = String(text.dropFirst(17))
        for path in ["/api/keys", "/api/keys/\(id)", "/api/audit"] {
            let shown = try await tenant.send("GET", path)
            #expect(shown.status == 200)
            #expect(shown.text.contains(id))
            #expect(!shown.text.contains(secret) && !shown.text.contains("argon2"))
        }
        let listed = try await tenant.send("GET", "/api/keys/\(id)").json()
        #expect(listed["name"]?.string == "ci bot")
        #expect(listed["status"]?.string == "active")
        #expect(listed["scopes"]?.elements.compactMap(\.string) == ["agents:read", "runs:read"])
        // Only a hash is stored.
        let stored = try await tenant.gateway.environment.owner.query(
            "SELECT secret_hash FROM hsafa.api_keys WHERE tenant_id = \(tenant.scope.tenantID) AND key_id = \(APIKeyID(id))",
            scope: tenant.scope.tenantID.description)
        #expect(try stored.first?.decode(0, as: String.self).hasPrefix("$argon2id$v=19$m=64,t=1,p=1$") == true)
    }

    @Test func `a key hands out no scope that it lacks and no time beyond its own`() async throws {
        let tenant = try await TestTenant.make()
        let soon = Timestamp.now().adding(seconds: 3600)
        let narrow = try await Self.issue(tenant, scopes: ["keys:write", "runs:read"], #","expiresAt":"\#(soon)""#)
        let client = tenant.gateway.client(key: narrow.text)
        try await client.send("POST", "/api/keys", #"{"name":"x","scopes":["runs:read","agents:write"]}"#)
            .expectProblem(403, "scopes_beyond_issuer")
        try await client.send("POST", "/api/keys", #"{"name":"x","scopes":["runs:read"],"expiresAt":"\#(soon.adding(seconds: 1))"}"#)
            .expectProblem(403, "expiry_beyond_issuer")
        let child = try await client.send("POST", "/api/keys", #"{"name":"x","scopes":["runs:read"]}"#)
        #expect(child.status == 201)
        #expect(try child.string("expiresAt") == soon.description)
        // Rotating would hand out what the other key has.
        let wide = try await Self.issue(tenant, scopes: ["keys:write", "agents:write"])
        try await client.send("POST", "/api/keys/\(wide.id)/rotate").expectProblem(403, "scopes_beyond_issuer")
        let forever = try await Self.issue(tenant, scopes: ["runs:read"])
        try await client.send("POST", "/api/keys/\(forever.id)/rotate").expectProblem(403, "expiry_beyond_issuer")
        #expect(try await client.send("POST", "/api/keys/\(try child.string("keyId"))/rotate").status == 200)
        // Revoking needs keys:write alone.
        #expect(try await client.send("DELETE", "/api/keys/\(wide.id)").status == 204)
        #expect(try await status(tenant.gateway, wide.text) == 401)
    }

    @Test func `a body that names no good key is refused with a pointer`() async throws {
        let tenant = try await TestTenant.make()
        for (body, pointer) in [
            (#"{"scopes":["runs:read"]}"#, "/name"), (#"{"name":"","scopes":["runs:read"]}"#, "/name"),
            (#"{"name":"a\nb","scopes":["runs:read"]}"#, "/name"), (#"{"name":"x"}"#, "/scopes"), (#"{"name":"x","scopes":[]}"#, "/scopes"),
            (#"{"name":"x","scopes":["all"]}"#, "/scopes/0"), (#"{"name":"x","scopes":["runs:read","runs:read"]}"#, "/scopes/1"),
            (#"{"name":"x","scopes":["runs:read"],"expiresAt":"tomorrow"}"#, "/expiresAt"),
            (#"{"name":"x","scopes":["runs:read"],"expiresAt":"2020-01-01T00:00:00Z"}"#, "/expiresAt"),
            (#"{"name":"x","scopes":["runs:read"],"isAdmin":true}"#, "/isAdmin"),
        ] {
            let answer = try await tenant.send("POST", "/api/keys", body)
            try answer.expectProblem(422, "invalid_body")
            #expect(try answer.pointers() == [pointer], "\(body)")
        }
        let key = try await Self.issue(tenant)
        for body in [
            #"{"overlapSeconds":-1}"#, #"{"overlapSeconds":99999999}"#, #"{"overlap":1}"#, #"{"expiresAt":"2020-01-01T00:00:00Z"}"#,
        ] {
            try await tenant.send("POST", "/api/keys/\(key.id)/rotate", body).expectProblem(422, "invalid_body")
        }
    }

    @Test func `a rotated key is the same key, its old secret is good for the overlap, and one before that is not`() async throws {
        let tenant = try await TestTenant.make()
        let first = try await Self.issue(tenant)
        #expect(try await status(tenant.gateway, first.text) == 200)
        let second = try await tenant.send("POST", "/api/keys/\(first.id)/rotate", #"{"overlapSeconds":600}"#)
        #expect(second.status == 200, "\(second.text)")
        #expect(try second.string("keyId") == first.id)
        #expect(try second.json()["previousExpiresAt"]?.string != nil)
        let secondText = try second.string("key")
        #expect(secondText != first.text)
        #expect(try await status(tenant.gateway, first.text) == 200)
        #expect(try await status(tenant.gateway, secondText) == 200)
        let third = try await tenant.send("POST", "/api/keys/\(first.id)/rotate", #"{"overlapSeconds":600}"#)
        let thirdText = try third.string("key")
        #expect(try await status(tenant.gateway, first.text) == 401)
        #expect(try await status(tenant.gateway, secondText) == 200)
        #expect(try await status(tenant.gateway, thirdText) == 200)
        // A secret that got out ends at once.
        let fourth = try await tenant.send("POST", "/api/keys/\(first.id)/rotate", #"{"overlapSeconds":0}"#)
        #expect(try fourth.json()["previousExpiresAt"] == nil)
        for old in [first.text, secondText, thirdText] { #expect(try await status(tenant.gateway, old) == 401) }
        #expect(try await status(tenant.gateway, try fourth.string("key")) == 200)
        let listed = try await tenant.send("GET", "/api/keys").json()["data"]?.elements.map { $0["keyId"]?.string }
        #expect(listed?.filter { $0 == first.id }.count == 1)
        // A time that it had not yet, and has from then on.
        let end = Timestamp.now().adding(seconds: 5)
        let fifth = try await tenant.send("POST", "/api/keys/\(first.id)/rotate", #"{"overlapSeconds":0,"expiresAt":"\#(end)"}"#)
        #expect(try fifth.string("expiresAt") == end.description)
        let last = try fifth.string("key")
        #expect(try await eventually { try await status(tenant.gateway, last) == 401 })
        #expect(Timestamp.now() >= end)
        #expect(try await tenant.send("GET", "/api/keys/\(first.id)").json()["status"]?.string == "expired")
    }

    @Test func `an overlap ends by itself, also for a key that is cached`() async throws {
        let tenant = try await TestTenant.make()
        let key = try await Self.issue(tenant)
        let rotated = try await tenant.send("POST", "/api/keys/\(key.id)/rotate", #"{"overlapSeconds":4}"#)
        let until = try #require(try rotated.json()["previousExpiresAt"]?.string.flatMap { Timestamp(rfc3339: $0) })
        let inTime = try await status(tenant.gateway, key.text)
        // On a busy machine the answer may have come after the overlap's end.
        #expect(inTime == 200 || Timestamp.now() >= until)
        #expect(try await eventually { try await status(tenant.gateway, key.text) == 401 })
        #expect(Timestamp.now() >= until)
        #expect(try await status(tenant.gateway, try rotated.string("key")) == 200)
    }

    @Test func `a revoked key stays revoked, and a revocation is idempotent`() async throws {
        let tenant = try await TestTenant.make()
        let key = try await Self.issue(tenant)
        #expect(try await status(tenant.gateway, key.text) == 200)
        for _ in 0..<2 { #expect(try await tenant.send("DELETE", "/api/keys/\(key.id)").status == 204) }
        #expect(try await status(tenant.gateway, key.text) == 401)
        try await tenant.send("POST", "/api/keys/\(key.id)/rotate").expectProblem(409, "key_revoked")
        #expect(try await tenant.send("GET", "/api/keys/\(key.id)").json()["status"]?.string == "revoked")
        let rows = try await tenant.send("GET", "/api/audit?action=key.revoke&target=\(key.id)").json()["data"]
        #expect(rows?.count == 1)
    }

    @Test func `a stream ends when its key expires`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        let key = try await Self.issue(tenant, scopes: ["runs:read"], #","expiresAt":"\#(Timestamp.now().adding(seconds: 15))""#)
        var stream = try await EventStream.open(tenant.gateway.client(key: key.text), run)
        try #require(stream.status == 200)
        await #expect(throws: (any Error).self) { while try await stream.receive() {} }
        #expect(try await tenant.gateway.client(key: key.text).send("GET", "/api/runs").status == 401)
    }

    @Test func `when a key was last used is known soon`() async throws {
        let tenant = try await TestTenant.make()
        let key = try await Self.issue(tenant)
        #expect(try await tenant.send("GET", "/api/keys/\(key.id)").json()["lastUsedAt"] == nil)
        let before = Timestamp.now()
        #expect(try await status(tenant.gateway, key.text) == 200)
        #expect(
            try await eventually {
                let used = try await tenant.send("GET", "/api/keys/\(key.id)").json()["lastUsedAt"]?.string
                return used.flatMap { Timestamp(rfc3339: $0) }.map { $0 >= before } ?? false
            })
    }
}
