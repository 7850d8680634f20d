import Domain
import HsafaClient
import JSON
import Storage
import TestSupport
import Testing

@testable import GatewayHTTP

/// The platform's admins and the tenants.
@Suite(.timeLimit(.minutes(5)))
struct AdminTests {
    /// The client of an admin of the gateway that all tests share.
    static func admin(_ gateway: TestGateway? = nil) async throws -> (client: HsafaClient, gateway: TestGateway) {
        let gateway = if let gateway { gateway } else { try await TestGateway.shared.value }
        return (gateway.client(key: try await gateway.environment.makeAdminKey()), gateway)
    }

    @Test func `a tenant is made, found, renamed, given a key that works, and its slug stays`() async throws {
        let (admin, gateway) = try await Self.admin()
        let slug = "a-\(RunID.generate())"
        let made = try await admin.send("POST", "/api/admin/tenants", #"{"slug":"\#(slug)","name":"Acme"}"#)
        #expect(made.status == 201, "\(made.text)")
        let id = try made.string("tenantId")
        #expect(made.header("Location") == "/api/admin/tenants/\(id)")
        #expect(try await admin.send("GET", "/api/admin/tenants/\(id)").text == made.text)
        try await admin.send("POST", "/api/admin/tenants", #"{"slug":"\#(slug)"}"#).expectProblem(409, "tenant_exists")
        try await admin.send("POST", "/api/admin/tenants", #"{"slug":"platform"}"#).expectProblem(409, "tenant_exists")
        for body in [#"{"slug":"No Slug"}"#, #"{"name":"x"}"#, #"{"slug":"x","status":"active"}"#] {
            try await admin.send("POST", "/api/admin/tenants", body).expectProblem(422, "invalid_body")
        }
        let renamed = try await admin.send("PATCH", "/api/admin/tenants/\(id)", #"{"name":"Acme & Co"}"#)
        #expect(try renamed.string("name") == "Acme & Co")
        #expect(try renamed.string("slug") == slug)
        try await admin.send("PATCH", "/api/admin/tenants/\(id)", #"{"slug":"other"}"#).expectProblem(422, "invalid_body")
        let listed = try await admin.send("GET", "/api/admin/tenants?limit=200").data().compactMap { $0["slug"]?.string }
        #expect(listed.contains(slug))

        let keys = "/api/admin/tenants/\(id)/keys"
        let key = try await admin.send("POST", keys, #"{"name":"first","scopes":["agents:read","keys:read"]}"#)
        #expect(key.status == 201, "\(key.text)")
        let client = gateway.client(key: try key.string("key"))
        #expect(try await client.send("GET", "/api/agents").status == 200)
        #expect(try await admin.send("GET", keys).json()["data"]?.count == 1)
        let rotated = try await admin.send("POST", "\(keys)/\(try key.string("keyId"))/rotate", #"{"overlapSeconds":0}"#)
        #expect(rotated.status == 200)
        #expect(try await client.send("GET", "/api/agents").status == 401)
        let next = gateway.client(key: try rotated.string("key"))
        #expect(try await next.send("GET", "/api/agents").status == 200)
        #expect(try await admin.send("DELETE", "\(keys)/\(try key.string("keyId"))").status == 204)
        #expect(try await next.send("GET", "/api/agents").status == 401)
    }

    @Test func `an admin changes the limits of a tenant, and its next answers show them`() async throws {
        let (admin, gateway) = try await Self.admin()
        let tenant = try await TestTenant.make(on: gateway)
        let path = "/api/admin/tenants/\(tenant.scope.tenantID)"
        let before = try await tenant.send("GET", "/api/agents").header("RateLimit-Policy")
        let changed = try await admin.send("PATCH", path, #"{"limits":{"requestsPerSecond":7,"requestBurst":70,"agents":3}}"#)
        #expect(changed.status == 200)
        #expect(try changed.json()["limits"]?.rawJSON.string == #"{"requestsPerSecond":7,"requestBurst":70,"agents":3}"#)
        #expect(
            try await eventually {
                try await tenant.send("GET", "/api/agents").header("RateLimit-Policy") == #""requests";q=70;w=10"#
            })
        // Null goes back to the default, what is absent stays, and what is no limit is named.
        let merged = try await admin.send("PATCH", path, #"{"limits":{"requestsPerSecond":null,"requestBurst":null}}"#)
        #expect(try merged.json()["limits"]?.rawJSON.string == #"{"agents":3}"#)
        #expect(try await eventually { try await tenant.send("GET", "/api/agents").header("RateLimit-Policy") == before })
        for (body, pointer) in [(#"{"limits":{"agents":0}}"#, "/limits/agents"), (#"{"limits":{"moon":1}}"#, "/limits/moon")] {
            let refused = try await admin.send("PATCH", path, body)
            try refused.expectProblem(422, "invalid_body")
            #expect(try refused.pointers() == [pointer])
        }
        #expect(try await admin.send("GET", path).text == merged.text)
        let rows = try await tenant.send("GET", "/api/audit?action=tenant.update").json()["data"]
        #expect(rows?.count == 2)
    }

    @Test func `a tenant's key is no admin's, and an admin's is no tenant's`() async throws {
        let (admin, _) = try await Self.admin()
        let tenant = try await TestTenant.make()
        for route in RouteTable.all {
            let path = route.path(with: unknownID())
            switch route.requirement {
            case .nothing: continue
            case .admin: try await tenant.send("\(route.method)", path).expectProblem(403, "admin_required")
            case .scope: try await admin.send("\(route.method)", path).expectProblem(403, "missing_scope")
            }
        }
        #expect(RouteTable.all.filter { $0.requirement == .admin }.allSatisfy { $0.path.hasPrefix("/api/admin/") })
        #expect(RouteTable.all.filter { $0.path.hasPrefix("/api/admin") }.allSatisfy { $0.requirement == .admin })
    }

    @Test func `nobody without a key gets into the admins' part, and what is not there is 404`() async throws {
        let (admin, gateway) = try await Self.admin()
        for route in RouteTable.all where route.requirement == .admin {
            let path = route.path(with: unknownID())
            #expect(try await gateway.client(key: nil).send("\(route.method)", path).status == 401, "\(route.operationID)")
            guard route.path.contains("{") else { continue }
            #expect(try await admin.send("\(route.method)", path).status == 404, "\(route.operationID)")
        }
    }

    @Test func `suspension is 403, ends streams and sockets and pauses runs, which go on after the tenant is resumed`() async throws {
        let (front, back) = try await TestGateway.replicas.value
        let tenant = try await TestTenant.make(on: front)
        let (admin, _) = try await Self.admin(front)
        let device = try await tenant.device()
        // It says a word and then nothing for longer than a busy machine takes to suspend it.
        let speaks = #"{"deltas":{"count":2,"text":"w "},"delayMilliseconds":45000}"#
        let run = try await tenant.run(steps: [speaks])
        let path = "/api/admin/tenants/\(tenant.scope.tenantID)"
        try await device.connected(back) { socket async throws in
            var stream = try await EventStream.open(tenant.through(back), run)
            while try !stream.events().contains(where: { $0.data.contains("assistant.delta") }) { try #require(try await stream.receive()) }
            #expect(try await admin.send("POST", path + "/suspend", #"{"reason":"unpaid"}"#).json()["status"]?.string == "suspended")
            try await tenant.send("GET", "/api/agents").expectProblem(403, "tenant_suspended")
            #expect(try await eventually { try await tenant.through(back).send("GET", "/api/agents").status == 403 })
            await #expect(throws: (any Error).self) { while try await stream.receive() {} }
            #expect(try await socket.closing() == 4401)
        }
        let database = front.environment.database.tenant(tenant.scope)
        let id = try #require(RunID(run))
        #expect(try await eventually { try await database.run(id)?.status == .queued })
        // Asking again changes nothing, and a key costs no more hashes while its tenant is suspended.
        #expect(try await admin.send("POST", path + "/suspend").json()["status"]?.string == "suspended")
        let verified = front.metric("hsafa_auth_verifications_total")
        for _ in 0..<5 { try await tenant.send("GET", "/api/agents").expectProblem(403, "tenant_suspended") }
        #expect(front.metric("hsafa_auth_verifications_total") == verified)
        #expect(try await database.run(id)?.status == .queued)

        #expect(try await admin.send("POST", path + "/resume").json()["status"]?.string == "active")
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.type == "run.resumed" && $0["reason"] == "unsuspended" })
        let told = try await tenant.send("GET", "/api/audit?target=\(tenant.scope.tenantID)").data()
        #expect(told.compactMap { $0["action"]?.string } == ["tenant.resume", "tenant.suspend", "tenant.create"])
        // The tenant learns that an admin did it and why, not from where.
        let suspension = try #require(told.dropFirst().first)
        #expect(suspension["actor"]?["kind"]?.string == "admin")
        #expect(suspension["details"]?["reason"]?.string == "unpaid")
        #expect(suspension["address"] == nil)
    }

    @Test func `the platform's own tenant is not suspended and gets no keys over the API, but an admin's key is revoked there`()
        async throws
    {
        let gateway = try await TestGateway.running(in: .fresh())
        let (admin, _) = try await Self.admin(gateway)
        let (second, _) = try await Self.admin(gateway)
        let platform = try #require(
            try await admin.send("GET", "/api/admin/tenants").data().first { $0["slug"]?.string == "platform" })
        let path = "/api/admin/tenants/\(try #require(platform["tenantId"]?.string))"
        try await admin.send("POST", path + "/suspend").expectProblem(409, "platform_tenant")
        try await admin.send("POST", path + "/keys", #"{"name":"x","scopes":["runs:read"]}"#).expectProblem(409, "platform_tenant")
        let keys = try await admin.send("GET", path + "/keys").data()
        #expect(keys.count == 2 && keys.allSatisfy { $0["admin"]?.bool == true })
        try await admin.send("POST", path + "/keys/\(keys[0]["keyId"]?.string ?? "")/rotate").expectProblem(409, "platform_tenant")
        #expect(try await second.send("GET", "/api/admin/tenants").status == 200)
        for key in keys where second.apiKey?.hasPrefix(key["prefix"]?.string ?? "?") == true {
            #expect(try await admin.send("DELETE", path + "/keys/\(key["keyId"]?.string ?? "")").status == 204)
        }
        try await second.send("GET", "/api/admin/tenants").expectProblem(401, "unauthorized")
        #expect(try await admin.send("GET", "/api/admin/tenants").status == 200)
    }
}
