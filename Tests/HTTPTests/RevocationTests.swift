import Domain
import HsafaClient
import JSON
import Postgres
import Storage
import Synchronization
import TestServers
import TestSupport
import Testing

/// What was taken away on one replica ends on another: by message where polls are an hour away, by poll where no message can come.
@Suite(.timeLimit(.minutes(5)))
struct RevocationTests {
    private func status(_ gateway: TestGateway, _ key: String) async throws -> Int {
        try await gateway.client(key: key).send("GET", "/api/agents").status
    }

    private func waitingRun(_ tenant: TestTenant) async throws -> String {
        try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
    }

    /// `key` watches `run` through `gateway` until its stream is cut, which `end` brings about.
    private func cut(_ gateway: TestGateway, _ key: String, _ run: String, by end: () async throws -> Void) async throws {
        var stream = try await EventStream.open(gateway.client(key: key), run)
        #expect(stream.status == 200)
        _ = try await stream.receive()
        try await end()
        await #expect(throws: (any Error).self) { while try await stream.receive() {} }
    }

    // MARK: By message

    @Test func `a revocation is heard on another replica by message alone, and ends the key's stream there`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let run = try await waitingRun(tenant)
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read", "agents:read"])
        let other = try await KeyTests.issue(tenant, scopes: ["runs:read"])
        var kept = try await EventStream.open(back.client(key: other.text), run)
        #expect(try await status(back, key.text) == 200)
        try await cut(back, key.text, run) { () async throws -> Void in
            #expect(try await tenant.send("DELETE", "/api/keys/\(key.id)").status == 204)
        }
        // The cache heard before the streams did.
        #expect(try await status(back, key.text) == 401)
        // Another key of the tenant watches on.
        _ = try await tenant.send("POST", "/api/runs/\(run)/cancel")
        while try await kept.receive() {}
        #expect(try kept.events().last?.data.contains("run.canceled") == true)
    }

    @Test func `a rotation without overlap is heard on another replica by message alone`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let run = try await waitingRun(tenant)
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read", "agents:read"])
        #expect(try await status(back, key.text) == 200)
        let rotated = Mutex<String?>(nil)
        try await cut(back, key.text, run) { () async throws -> Void in
            let answer = try await tenant.send("POST", "/api/keys/\(key.id)/rotate", #"{"overlapSeconds":0}"#)
            let text = try answer.string("key")
            rotated.withLock { $0 = text }
        }
        #expect(try await status(back, key.text) == 401)
        #expect(try await status(back, try #require(rotated.withLock { $0 })) == 200)
    }

    @Test func `a suspension is heard on another replica by message alone, and ends streams and sockets there`() async throws {
        let (front, back) = try await TestGateway.apart.value
        let tenant = try await TestTenant.make(on: front)
        let (admin, _) = try await AdminTests.admin(front)
        let run = try await waitingRun(tenant)
        let path = "/api/admin/tenants/\(tenant.scope.tenantID)"
        try await tenant.device().connected(back) { socket async throws in
            try await cut(back, tenant.key, run) { () async throws -> Void in
                #expect(try await admin.send("POST", path + "/suspend").json()["status"]?.string == "suspended")
            }
            #expect(try await socket.closing() == DeviceCloseCode.unauthorized)
        }
        #expect(try await status(back, tenant.key) == 403)
        #expect(try await admin.send("POST", path + "/resume").json()["status"]?.string == "active")
        #expect(try await status(front, tenant.key) == 200)
        #expect(try await eventually { try await status(back, tenant.key) == 200 })
    }

    // MARK: By poll

    /// Two replicas over a Redis that is gone once they run.
    private func deafReplicas() async throws -> (front: TestGateway, back: TestGateway) {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let environment = try await TestEnvironment.fresh(redis: redis.url)
        let front = try await TestGateway.running(in: environment, maxConcurrentRuns: 0)
        return (front, try await TestGateway.running(in: environment))
    }

    @Test func `without redis a revocation and a suspension are found by the poll, and end streams and sockets`() async throws {
        let (front, back) = try await deafReplicas()
        let tenant = try await TestTenant.make(on: front)
        let (admin, _) = try await AdminTests.admin(front)
        let run = try await waitingRun(tenant)
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read", "agents:read"])
        #expect(try await status(back, key.text) == 200)
        try await cut(back, key.text, run) { () async throws -> Void in
            #expect(try await tenant.send("DELETE", "/api/keys/\(key.id)").status == 204)
        }
        #expect(try await status(back, key.text) == 401)
        try await tenant.device().connected(back) { socket async throws in
            try await cut(back, tenant.key, run) { () async throws -> Void in
                #expect(try await admin.send("POST", "/api/admin/tenants/\(tenant.scope.tenantID)/suspend").status == 200)
            }
            #expect(try await socket.closing() == DeviceCloseCode.unauthorized)
        }
        #expect(try await status(back, tenant.key) == 403)
    }

    @Test func `a revocation of which no message came is found by the poll, and ends streams`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await waitingRun(tenant)
        let key = try await KeyTests.issue(tenant, scopes: ["runs:read"])
        try await cut(tenant.gateway, key.text, run) { () async throws -> Void in
            // An operator's own statement: a trigger counts the generation for it, and nobody publishes.
            _ = try await tenant.gateway.environment.owner.query(
                "UPDATE hsafa.api_keys SET revoked_at = now() WHERE tenant_id = \(tenant.scope.tenantID) AND key_id = \(APIKeyID(key.id))",
                scope: tenant.scope.tenantID.description, lane: .alone)
        }
        #expect(try await tenant.gateway.client(key: key.text).send("GET", "/api/runs").status == 401)
    }
}
