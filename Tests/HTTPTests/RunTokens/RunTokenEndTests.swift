import Domain
import HsafaClient
import JSON
import Postgres
import Runtime
import TestServers
import TestSupport
import Testing

/// What was given to a page ends: with the token, with the key that made it, with the tenant; on other replicas by message where polls are
/// an hour away, and by poll where no message can come.
@Suite(.timeLimit(.minutes(5)))
struct RunTokenEndTests {
    /// `token` watches `run` through `gateway` until its stream is cut, which `end` brings about.
    private func cut(
        _ gateway: TestGateway, _ token: TestRunToken, _ run: String, inQuery: Bool = false, by end: () async throws -> Void
    ) async throws {
        var stream = try await EventStream.open(
            gateway.client(key: inQuery ? nil : token.text), run, inQuery ? "?token=\(token.text)" : "")
        #expect(stream.status == 200)
        _ = try await stream.receive()
        try await end()
        await #expect(throws: (any Error).self) { while try await stream.receive() {} }
        #expect(try await status(gateway, token, run) == 401)
    }

    private func status(_ gateway: TestGateway, _ token: TestRunToken, _ run: String) async throws -> Int {
        try await EventStream.open(gateway.client(key: token.text), run).status
    }

    // MARK: By message

    @Test func `a revoked token's streams end on another replica by message alone, and only its own`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let (run, call) = try await tenant.askingRun()
        let (token, other) = (try await tenant.runToken(run), try await tenant.runToken(run, ["tools"]))
        var kept = try await EventStream.open(back.client(key: other.text), run)
        try await cut(back, token, run, inQuery: true) { () async throws -> Void in
            #expect(try await tenant.send("DELETE", "/api/runs/\(run)/tokens/\(token.id)").status == 204)
        }
        // Asking again changes nothing; and it is listed no more.
        #expect(try await tenant.send("DELETE", "/api/runs/\(run)/tokens/\(token.id)").status == 204)
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tokens").data().compactMap { $0["tokenId"]?.string } == [other.id])
        #expect(try await tenant.send("GET", "/api/audit?action=run_token.revoke").data().count == 1)
        #expect(
            try await back.client(key: other.text).send(
                "POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":1}"#
            ).status == 200)
        while try await kept.receive() {}
        #expect(try kept.events().last?.data.contains("run.completed") == true)
    }

    @Test func `the revocation of the key that made a token is heard on another replica by message alone`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let (run, call) = try await tenant.askingRun()
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read", "tools:respond"])
        let token = try await tenant.runToken(run, ["tools"], key: key.text)
        try await cut(back, token, run) { () async throws -> Void in
            #expect(try await tenant.send("DELETE", "/api/keys/\(key.id)").status == 204)
        }
        try await back.client(key: token.text).send("POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":1}"#)
            .expectProblem(401, "unauthorized")
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tokens").data().isEmpty)
    }

    @Test func `a key that is rotated has not been taken away, and its tokens stay`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read"])
        let token = try await tenant.runToken(run, key: key.text)
        let rotated = try await tenant.send("POST", "/api/keys/\(key.id)/rotate", #"{"overlapSeconds":0}"#)
        #expect(rotated.status == 200 || rotated.status == 201)
        #expect(try await status(tenant.gateway, token, run) == 200)
    }

    @Test func `a suspension ends a token's streams on another replica, and a resumption gives them back`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let (admin, _) = try await AdminTests.admin(front)
        let (run, _) = try await tenant.askingRun()
        let token = try await tenant.runToken(run)
        let path = "/api/admin/tenants/\(tenant.scope.tenantID)"
        var stream = try await EventStream.open(back.client(key: token.text), run)
        _ = try await stream.receive()
        #expect(try await admin.send("POST", path + "/suspend").status == 200)
        await #expect(throws: (any Error).self) { while try await stream.receive() {} }
        try await back.client(key: token.text).send("GET", "/api/runs/\(run)/stream").expectProblem(403, "tenant_suspended")
        #expect(try await admin.send("POST", path + "/resume").status == 200)
        #expect(try await status(back, token, run) == 200)
    }

    // MARK: By poll, and by the clock

    @Test func `without redis revocations are found by the poll, and end streams`() async throws {
        let redis = try await ThrowawayRedis.start()
        let environment = try await TestEnvironment.fresh(redis: redis.url)
        let front: TestGateway
        let back: TestGateway
        do {
            defer { redis.remove() }
            front = try await TestGateway.running(in: environment, maxConcurrentRuns: 0)
            back = try await TestGateway.running(in: environment)
        }
        let tenant = try await TestTenant.make(on: front)
        let (run, _) = try await tenant.askingRun()
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read"])
        let (own, made) = (try await tenant.runToken(run), try await tenant.runToken(run, key: key.text))
        try await cut(back, own, run) { () async throws -> Void in
            #expect(try await tenant.send("DELETE", "/api/runs/\(run)/tokens/\(own.id)").status == 204)
        }
        try await cut(back, made, run) { () async throws -> Void in
            #expect(try await tenant.send("DELETE", "/api/keys/\(key.id)").status == 204)
        }
    }

    @Test func `an operator's own statement revokes a token too, for good`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let token = try await tenant.runToken(run)
        func write(_ value: String) async throws {
            _ = try await tenant.gateway.environment.owner.query(
                SQL(unsafeSQL: "UPDATE hsafa.run_tokens SET revoked_at = \(value) WHERE token_id = '\(token.id)'"),
                scope: tenant.scope.tenantID.description, lane: .alone)
        }
        try await cut(tenant.gateway, token, run) { () async throws -> Void in try await write("'2020-01-01'") }
        try await write("NULL")
        #expect(try await status(tenant.gateway, token, run) == 401)
    }

    @Test func `a token's time ends its open streams`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        // Long enough for a busy machine to open the stream; what is waited for is the end of it.
        let token = try await tenant.runToken(run, more: #","expiresSeconds":15"#)
        try await cut(tenant.gateway, token, run) {}
    }

    @Test func `what was taken away between the first look and the stream is noticed`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read"])
        let tokens = tenant.gateway.gateway.runTokens
        for (token, path) in [
            (try await tenant.runToken(run), "/api/runs/\(run)/tokens/"), (try await tenant.runToken(run, key: key.text), "/api/keys/"),
        ] {
            let principal = try await tokens.authenticate(token.text) { nil }
            #expect(principal.scopes.isEmpty && principal.runToken?.runID.description == run)
            try await tokens.requireStillGood(principal)
            #expect(try await tenant.send("DELETE", path + (path.hasSuffix("keys/") ? key.id : token.id)).status == 204)
            await #expect(throws: GatewayError.self) { try await tokens.requireStillGood(principal) }
        }
    }

    @Test func `tokens that are long over are swept, and others are not`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let (old, young) = (try await tenant.runToken(run), try await tenant.runToken(run))
        _ = try await tenant.gateway.environment.owner.query(
            SQL(unsafeSQL: "UPDATE hsafa.run_tokens SET expires_at = now() - interval '2 hours' WHERE token_id = '\(old.id)'"),
            scope: tenant.scope.tenantID.description, lane: .alone)
        #expect(
            await eventually {
                let left = try? await tenant.gateway.environment.owner.query(
                    SQL(unsafeSQL: "SELECT token_id::text FROM hsafa.run_tokens WHERE tenant_id = '\(tenant.scope.tenantID)'"),
                    scope: tenant.scope.tenantID.description, lane: .alone
                ).map { try $0.decode(0, as: String.self) }
                return left == [young.id]
            })
    }
}
