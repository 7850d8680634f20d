import Domain
import HsafaClient
import JSON
import NIOHTTP1
import Storage
import TestSupport
import Testing

/// Rates as clients see them.
@Suite(.timeLimit(.minutes(5)))
struct RateLimitTests {
    @Test func `every authenticated answer tells how the tenant stands, errors too`() async throws {
        let tenant = try await TestTenant.limited([.requestsPerSecond: 1, .requestBurst: 100])
        let requests: [(String, String, String?, Int)] = [
            ("GET", "/api/agents", nil, 200), ("GET", "/api/agents/\(unknownID())", nil, 404), ("GET", "/api/runs?limit=x", nil, 400),
            ("POST", "/api/agents", "{}", 422), ("POST", "/api/agents", "[", 400), ("HEAD", "/api/agents", nil, 200),
            ("GET", "/api/runs/\(unknownID())/stream", nil, 404), ("DELETE", "/api/agents/\(unknownID())", nil, 404),
        ]
        let start = ContinuousClock.now
        for (index, request) in requests.enumerated() {
            let answer = try await tenant.send(request.0, request.1, request.2)
            #expect(answer.status == request.3, "\(answer.text)")
            #expect(answer.header("RateLimit-Policy") == #""requests";q=100;w=100"#)
            let left = try answer.rates("RateLimit")["requests"]
            let grown = Int((ContinuousClock.now - start).components.seconds) + 1
            let remaining = try #require(left?["r"])
            #expect((99 - index...min(99, 99 - index + grown)).contains(remaining), "request \(index)")
            #expect((1...100).contains(try #require(left?["t"])))
        }
        let readOnly = try await tenant.gateway.environment.makeKey(tenant.scope, scopes: [.runsRead])
        let forbidden = try await tenant.gateway.client(key: readOnly).send("GET", "/api/agents")
        try forbidden.expectProblem(403, "missing_scope")
        #expect(forbidden.header("RateLimit") != nil, "a request without the scope counts as well")
        for path in ["/health", "/api/nothing"] {
            #expect(try await tenant.send("GET", path).header("RateLimit-Policy") == nil)
        }
        let stranger = try await tenant.gateway.client(key: nil).send("GET", "/api/agents")
        try stranger.expectProblem(401, "unauthorized")
        #expect(stranger.header("RateLimit-Policy") == nil)
    }

    @Test func `over the burst there is 429 with the limit's name and when to come again`() async throws {
        let tenant = try await TestTenant.limited(TestTenant.slow(burst: 5))
        let before = tenant.gateway.metric("hsafa_limit_refusals_total")
        let refused = try await withThrowingTaskGroup(of: Answer.self) { group in
            for _ in 0..<100 { group.addTask { try await tenant.send("GET", "/api/agents") } }
            return try await group.reduce(into: [Answer]()) { if $1.status != 200 { $0.append($1) } }
        }
        let problem = try #require(refused.first)
        try problem.expectProblem(429, "request_limit_exceeded")
        #expect(problem.header("Retry-After") == "1")
        #expect(try problem.rates("RateLimit")["requests"]?["r"] == 0)
        #expect(tenant.gateway.metric("hsafa_limit_refusals_total") > before)
        // The time that it named is enough.
        #expect(try await eventually { try await tenant.send("GET", "/api/agents").status == 200 })
    }

    @Test func `the limit is the tenant's, over all its keys and replicas, and no other tenant's`() async throws {
        let (front, back) = try await TestGateway.replicas.value
        let tenant = try await TestTenant.limited(TestTenant.slow(burst: 20), on: front)
        let secondKey = try await front.environment.makeKey(tenant.scope)
        let clients = [
            tenant.client, tenant.through(back), front.client(key: secondKey), back.client(key: secondKey),
        ]
        let start = ContinuousClock.now
        let granted = try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<100 {
                group.addTask { try await clients[index % 4].send("GET", "/api/agents").status == 200 }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        let grown = Int((ContinuousClock.now - start).components.seconds) + 1
        #expect((20...20 + grown).contains(granted), "\(granted) of 20, in \(grown) s")
        let other = try await TestTenant.limited(TestTenant.slow(burst: 20), on: back)
        #expect(try await other.send("GET", "/api/agents").status == 200)
    }

    @Test func `a refused run creates nothing and takes no request`() async throws {
        let tenant = try await TestTenant.limited([.runsPerMinute: 1, .requestsPerSecond: 1, .requestBurst: 50])
        try await tenant.agent(steps: [Config.says])
        let body = #"{"agentName":"tester","initialMessages":[{"role":"user","content":"Hi"}]}"#
        let created = try await tenant.send("POST", "/api/runs", body)
        #expect(created.status == 201)
        #expect(created.header("RateLimit-Policy") == #""requests";q=50;w=50, "runs";q=1;w=60"#)
        #expect(try created.rates("RateLimit")["runs"]?["r"] == 0)
        let left = try #require(try created.rates("RateLimit")["requests"]?["r"])
        for _ in 0..<5 {
            let refused = try await tenant.send("POST", "/api/runs", body)
            try refused.expectProblem(429, "run_limit_exceeded")
            #expect((1...60).contains(try #require(refused.header("Retry-After").flatMap { Int($0) })))
            #expect(try #require(try refused.rates("RateLimit")["requests"]?["r"]) >= left)
        }
        #expect(try await tenant.send("GET", "/api/runs").json()["data"]?.count == 1)
    }

    @Test func `a change of limits is heard by message`() async throws {
        // By their age they would be read again in an hour.
        let tenant = try await TestTenant.limited([.requestsPerSecond: 10, .requestBurst: 10], on: TestGateway.apart.value.back)
        #expect(try await tenant.send("GET", "/api/agents").header("RateLimit-Policy") == #""requests";q=10;w=1"#)
        try await tenant.limit([.requestsPerSecond: 7, .requestBurst: 70])
        TenantNotices(tenant.gateway.environment.redis).publish(tenant.scope.tenantID)
        #expect(
            try await eventually { try await tenant.send("GET", "/api/agents").header("RateLimit-Policy") == #""requests";q=70;w=10"# })
    }

    @Test func `a change of limits is found by its age where no message comes`() async throws {
        let tenant = try await TestTenant.limited([.requestsPerSecond: 10, .requestBurst: 10])
        #expect(try await tenant.send("GET", "/api/agents").header("RateLimit-Policy") == #""requests";q=10;w=1"#)
        try await tenant.limit([.requestsPerSecond: nil, .requestBurst: 3000])
        #expect(
            try await eventually {
                try await tenant.send("GET", "/api/agents").header("RateLimit-Policy") == #""requests";q=3000;w=3"#
            })
    }

    @Test func `agents are counted where they are stored`() async throws {
        let tenant = try await TestTenant.limited([.agents: 3])
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<50 {
                group.addTask { try await tenant.send("POST", "/api/agents", #"{"name":"agent-\#(index)"}"#).status }
            }
            return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(statuses == [201: 3, 429: 47])
        let refused = try await tenant.send("POST", "/api/agents", #"{"name":"one-more"}"#)
        try refused.expectProblem(429, "agent_limit_exceeded")
        #expect(refused.header("Retry-After") == nil, "waiting alone does not help")
        let stored = Array(try #require(try await tenant.send("GET", "/api/agents").json()["data"]?.elements))
        let first = try #require(stored[0]["agentId"]?.string)
        #expect(try await tenant.send("POST", "/api/agents", #"{"name":"one-more"}"#).status == 429)
        #expect(try await tenant.send("DELETE", "/api/agents/\(first)").status == 204)
        #expect(try await tenant.send("POST", "/api/agents", #"{"name":"one-more"}"#).status == 201)
    }
}
