import Cryptography
import Domain
import HsafaClient
import NIOHTTP1
import Postgres
import TestSupport
import Testing

@testable import GatewayHTTP

struct AuthenticationTests {
    /// The id of a key that exists, with another secret and its right check sum.
    static func wrongSecret(_ key: String) -> String {
        let body = key.prefix(17) + Base62.random(count: 43)
        return body + Base62.encode(CRC32.checksum(Array(body.utf8)), width: 6)
    }

    @Test func `no key, garbage, a bad check sum, an unknown id and a wrong secret are the same 401`() async throws {
        let tenant = try await TestTenant.make()
        let badSum = tenant.key.dropLast() + (tenant.key.hasSuffix("0") ? "1" : "0")
        let credentials: [String?] = [
            nil, "Bearer", "Bearer ", "Bearer nonsense", "Basic dXNlcjpwYXNz", tenant.key, "Bearer \(badSum)", "Bearer hsk_\(tenant.key)",
            "Bearer \(CredentialToken.generate(.apiKey).text)", "Bearer \(Self.wrongSecret(tenant.key))",
            "Bearer \(CredentialToken.generate(.enrollment).text)",
        ]
        var bodies: Set<String> = []
        var names: Set<[String]> = []
        for credential in credentials {
            let headers = [("X-Request-Id", "same")] + (credential.map { [("Authorization", $0)] } ?? [])
            let answer = try await tenant.gateway.client(key: nil).send("GET", "/api/agents", headers: headers)
            try answer.expectProblem(401, "unauthorized")
            #expect(answer.header("WWW-Authenticate") == "Bearer realm=\"hsafa-gateway\"")
            bodies.insert(answer.text)
            names.insert(answer.headers.map { $0.name.lowercased() }.sorted())
        }
        #expect(bodies.count == 1)
        #expect(names.count == 1)
    }

    @Test func `only a key that exists is hashed, and once`() async throws {
        let gateway = try await TestGateway.running(in: .fresh())
        let tenant = try await TestTenant.make(on: gateway)
        func verifications() -> Int { gateway.metric("hsafa_auth_verifications_total") }
        let badSum = tenant.key.dropLast() + (tenant.key.hasSuffix("0") ? "1" : "0")
        for key in ["nonsense", String(badSum), CredentialToken.generate(.apiKey).text] {
            try await gateway.client(key: key).send("GET", "/api/agents").expectProblem(401, "unauthorized")
        }
        #expect(verifications() == 0)
        try await gateway.client(key: Self.wrongSecret(tenant.key)).send("GET", "/api/agents").expectProblem(401, "unauthorized")
        #expect(verifications() == 1)
        try await withThrowingTaskGroup { group in
            for _ in 0..<20 { group.addTask { try await tenant.send("GET", "/api/agents").status } }
            for try await status in group { #expect(status == 200) }
        }
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
        #expect(verifications() == 2)
    }

    @Test func `a key without the scope of an operation gets 403 naming it, whether or not the thing exists`() async throws {
        let tenant = try await TestTenant.make(scopes: [])
        for route in RouteTable.all {
            guard let scope = route.scope else { continue }
            let answer = try await tenant.send("\(route.method)", route.path(with: unknownID()))
            try answer.expectProblem(403, "missing_scope")
            #expect(try answer.string("detail").contains(scope.rawValue), "\(route.operationID)")
        }
    }

    @Test func `every operation with a scope refuses those without a key`() async throws {
        let gateway = try await TestGateway.shared.value
        for route in RouteTable.all where route.scope != nil {
            let answer = try await gateway.client(key: nil).send("\(route.method)", route.path(with: unknownID()))
            #expect(answer.status == 401, "\(route.operationID)")
        }
    }

    @Test func `the scheme of a key may be written in any case`() async throws {
        let tenant = try await TestTenant.make()
        let answer = try await tenant.gateway.client(key: nil).send(
            "GET", "/api/agents", headers: [("Authorization", "bEARER \(tenant.key)")])
        #expect(answer.status == 200)
    }

    @Test func `an expired key is refused`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.owner("UPDATE hsafa.api_keys SET expires_at = now() - interval '1 second'")
        try await tenant.send("GET", "/api/agents").expectProblem(401, "unauthorized")
    }

    @Test func `a key that was good is refused soon after it was revoked`() async throws {
        let tenant = try await TestTenant.make()
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
        try await tenant.owner("UPDATE hsafa.api_keys SET revoked_at = now(), generation = generation + 1")
        #expect(try await eventually { try await tenant.send("GET", "/api/agents").status == 401 })
    }

    @Test func `a suspended tenant is told so`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.owner("UPDATE hsafa.tenants SET status = 'suspended'")
        try await tenant.send("GET", "/api/agents").expectProblem(403, "tenant_suspended")
    }
}

extension Route {
    /// The path with this id in every place.
    func path(with id: String) -> String {
        path.split(separator: "/").map { $0.hasPrefix("{") ? "/\(id)" : "/\($0)" }.joined()
    }
}

extension TestTenant {
    /// A statement of the operator's within this tenant.
    func owner(_ sql: String) async throws {
        let filtered = "\(sql) WHERE tenant_id = '\(scope.tenantID)'"
        let rows = try await gateway.environment.owner.query(SQL(unsafeSQL: filtered), scope: scope.tenantID.description, lane: .alone)
        try #require(rows.affected == 1)
    }
}
