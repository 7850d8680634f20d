import Domain
import HsafaClient
import JSON
import Testing

@testable import GatewayHTTP

/// `Idempotency-Key` where what is made holds a secret, or belongs to the platform.
@Suite(.timeLimit(.minutes(5)))
struct KeyedSecretTests {
    /// A path and a body for each operation that creates something with a secret, or for the platform.
    private static func keyed(_ tenant: TestTenant, keyID: String, runID: String) -> [String: (path: String, body: String)] {
        let admin = "/api/admin/tenants"
        let own = "\(admin)/\(tenant.scope.tenantID)"
        let key = #"{"name":"k","scopes":["runs:read"]}"#
        return [
            "createKey": ("/api/keys", key), "rotateKey": ("/api/keys/\(keyID)/rotate", "{}"),
            "createTenant": (admin, #"{"slug":"i-\#(unknownID())"}"#), "createTenantKey": ("\(own)/keys", key),
            "rotateTenantKey": ("\(own)/keys/\(keyID)/rotate", "{}"),
            "createEnrollmentToken": ("/api/devices/enrollment-tokens", "{}"), "createRunToken": ("/api/runs/\(runID)/tokens", "{}"),
        ]
    }

    /// The others are in IdempotencyTests and ExternalTests.
    private static let shown: Set<String> = ["createAgent", "publishAgentVersion", "createRun", "registerDevice", "rotateWebhookSecret"]

    @Test func `keys and tenants are made once under a key, whatever became of them since`() async throws {
        let tenant = try await TestTenant.make()
        let (admin, _) = try await AdminTests.admin(tenant.gateway)
        let run = try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        for route in RouteTable.all where route.isCreating && !Self.shown.contains(route.operationID) {
            let victim = try await tenant.send("POST", "/api/keys", #"{"name":"v","scopes":["runs:read"]}"#).string("keyId")
            let (path, body) = try #require(
                Self.keyed(tenant, keyID: victim, runID: run)[route.operationID], "\(route.operationID) is tried by no test")
            let client = route.requirement == .admin ? admin : tenant.client
            let headers = [("Idempotency-Key", "once-\(route.operationID)-\(victim)")]
            let first = try await client.send("POST", path, body, headers: headers)
            #expect([200, 201].contains(first.status), "\(route.operationID): \(first.text)")
            let again = try await client.send("POST", path, body, headers: headers)
            #expect(again.header("Idempotency-Replayed") == "true", "\(route.operationID): \(again.text)")
            if route.operationID == "createTenant" {
                #expect(again.status == first.status && again.bytes == first.bytes)
                continue
            }
            try again.expectProblem(409, "already_created")
            let id = ["createEnrollmentToken", "createRunToken"].contains(route.operationID) ? "tokenId" : "keyId"
            #expect(try again.string("createdId") == first.string(id))
            // What has changed since does not change the answer: the key was made, and that is what was asked.
            if id == "keyId" {
                #expect(try await tenant.send("DELETE", "/api/keys/\(try first.string("keyId"))").status == 204)
                try await client.send("POST", path, body, headers: headers).expectProblem(409, "already_created")
            }
        }
    }

    @Test func `a hundred twins of a key's creation cost one hash between them`() async throws {
        let tenant = try await TestTenant.make()
        let body = #"{"name":"many","scopes":["runs:read"]}"#
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    let answer = try await tenant.send("POST", "/api/keys", body, headers: [("Idempotency-Key", "many")])
                    return answer.status
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.filter { $0 == 201 }.count == 1, "\(statuses)")
        #expect(statuses.allSatisfy { $0 == 201 || $0 == 409 }, "none ran into the queue of hashes: \(statuses)")
        let listed = try await tenant.send("GET", "/api/keys?limit=200").json()["data"]?.elements.filter { $0["name"]?.string == "many" }
        #expect(listed?.count == 1)
    }
}
