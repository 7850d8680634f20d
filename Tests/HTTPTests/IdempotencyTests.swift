import Domain
import HsafaClient
import JSON
import NIOHTTP1
import Postgres
import Storage
import TestSupport
import Testing

/// `Idempotency-Key`: a creation happens once, however often it is asked for.
@Suite(.timeLimit(.minutes(5)))
struct IdempotencyTests {
    private func keyed(_ key: String) -> [(String, String)] { [("Idempotency-Key", key)] }

    private func create(_ tenant: TestTenant, _ path: String, _ body: String, key: String) async throws -> Answer {
        try await tenant.send("POST", path, body, headers: keyed(key))
    }

    private func count(_ tenant: TestTenant, _ list: String) async throws -> Int {
        try await Array(#require(tenant.send("GET", "/api/\(list)?limit=200").json()["data"]?.elements)).count
    }

    private func expectReplay(of first: Answer, _ second: Answer) {
        #expect(second.status == first.status && second.bytes == first.bytes, "\(second.text)")
        #expect(second.header("Location") == first.header("Location"))
        #expect(second.header("Idempotency-Replayed") == "true")
        #expect(second.header("X-Request-Id") != first.header("X-Request-Id"))
    }

    @Test func `every creating operation answers a repetition with its first answer`() async throws {
        let tenant = try await TestTenant.make()
        let config = Config.text("tester", steps: [Config.says])
        let agent = try await create(tenant, "/api/agents", #"{"name":"tester","config":\#(config)}"#, key: "a")
        expectReplay(of: agent, try await create(tenant, "/api/agents", #"{"name":"tester","config":\#(config)}"#, key: "a"))
        let publish = "/api/agents/\(try agent.string("agentId"))/versions"
        let second = #"{"config":\#(Config.text("tester", steps: [Config.says, Config.says]))}"#
        let version = try await create(tenant, publish, second, key: "a")
        #expect(version.status == 201)
        expectReplay(of: version, try await create(tenant, publish, second, key: "a"))
        let run = #"{"agentName":"tester","initialMessages":[{"role":"user","content":"Hi"}]}"#
        let created = try await create(tenant, "/api/runs", run, key: "a")
        expectReplay(of: created, try await create(tenant, "/api/runs", run, key: #""a""#))
        #expect(try await tenant.events(created.string("runId")).last?.type == "run.completed", "the workers heard of it")
        let device = #"{"publicKey":"\#(try DeviceKey().publicKey)","deviceKey":"laptop"}"#
        let registered = try await create(tenant, "/api/devices", device, key: "a")
        expectReplay(of: registered, try await create(tenant, "/api/devices", device, key: "a"))
        for (answer, list) in [(agent, "agents"), (created, "runs"), (registered, "devices")] {
            #expect(answer.status == 201)
            #expect(answer.header("Idempotency-Replayed") == nil)
            #expect(try await count(tenant, list) == 1)
        }
    }

    @Test func `a secret is shown once: the repetition names what was made`() async throws {
        let tenant = try await TestTenant.make()
        let first = try await create(tenant, "/api/devices/enrollment-tokens", "{}", key: "t")
        #expect(first.status == 201)
        let second = try await create(tenant, "/api/devices/enrollment-tokens", "{}", key: "t")
        try second.expectProblem(409, "already_created")
        #expect(second.header("Idempotency-Replayed") == "true")
        #expect(try second.string("createdId") == first.string("tokenId"))
        let token = try first.string("token")
        #expect(!second.text.contains(token))
    }

    @Test func `another body, content type or spelling of the body under the same key is refused`() async throws {
        let tenant = try await TestTenant.make()
        #expect(try await create(tenant, "/api/agents", #"{"name":"a"}"#, key: "k").status == 201)
        for body in [#"{"name":"b"}"#, #"{"name": "a"}"#] {
            try await create(tenant, "/api/agents", body, key: "k").expectProblem(422, "idempotency_key_reused")
        }
        let headers = keyed("k") + [("Content-Type", "application/json; charset=utf-8")]
        try await tenant.send("POST", "/api/agents", #"{"name":"a"}"#, headers: headers).expectProblem(422, "idempotency_key_reused")
        #expect(try await count(tenant, "agents") == 1)
    }

    @Test func `what is no key is 400, and nothing is made`() async throws {
        let tenant = try await TestTenant.make()
        let long = String(repeating: "k", count: Limits.maxIdempotencyKeyBytes)
        for key in ["", "a b", "a,b", #""open"#, long + "k"] {
            try await create(tenant, "/api/agents", #"{"name":"a"}"#, key: key).expectProblem(400, "invalid_header")
        }
        // Two of them, each good.
        let two = try await RawConnection.open(tenant.gateway) { connection in
            try await connection.send(
                "POST /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\nContent-Length: 12\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n{\"name\":\"a\"}"
            )
            return try await connection.answer()
        }
        try two.expectProblem(400, "invalid_header")
        #expect(try await count(tenant, "agents") == 0)
        #expect(try await create(tenant, "/api/agents", #"{"name":"a"}"#, key: long).status == 201)
    }

    @Test func `a hundred requests at once with one key create once and are answered alike`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent(steps: [Config.says])
        let body = #"{"agentName":"tester","initialMessages":[{"role":"user","content":"Hi"}]}"#
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            for _ in 0..<100 { group.addTask { try await patiently { try await create(tenant, "/api/runs", body, key: "one") } } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.count == 100)
        #expect(Set(answers.map(\.status)) == [201], "\(answers.first { $0.status != 201 }?.text ?? "")")
        #expect(Set(answers.map(\.bytes)).count == 1)
        #expect(answers.count { $0.header("Idempotency-Replayed") == nil } == 1)
        #expect(try await count(tenant, "runs") == 1)
    }

    /// Asks again where the first was still under way after five seconds, as it may be on a machine that has too much to do.
    private func patiently(_ ask: () async throws -> Answer) async throws -> Answer {
        for _ in 0..<5 {
            let answer = try await ask()
            guard answer.status == 409, try answer.string("code") == "request_in_flight" else { return answer }
        }
        return try await ask()
    }

    @Test func `twins on two replicas create once`() async throws {
        let replicas = try await TestGateway.replicas.value
        let tenant = try await TestTenant.make(on: replicas.front)
        let clients = [tenant.client, tenant.through(replicas.back)]
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            for index in 0..<60 {
                group.addTask {
                    try await patiently {
                        try await clients[index % 2].send("POST", "/api/agents", #"{"name":"twin"}"#, headers: keyed("one"))
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(answers.map(\.status)) == [201], "\(answers.first { $0.status != 201 }?.text ?? "")")
        #expect(Set(answers.map(\.bytes)).count == 1)
        #expect(try await count(tenant, "agents") == 1)
    }

    @Test func `a failure is not kept: the key is good for another try`() async throws {
        let tenant = try await TestTenant.make()
        let run = #"{"agentName":"tester","initialMessages":[{"role":"user","content":"Hi"}]}"#
        try await create(tenant, "/api/runs", run, key: "k").expectProblem(404, "agent_not_found")
        try await tenant.send("POST", "/api/agents", #"{"name":"tester"}"#)
            .expectCreated()
        try await create(tenant, "/api/runs", run, key: "k").expectProblem(409, "no_version")
        try await create(tenant, "/api/agents", #"{"name":"tester"}"#, key: "k").expectProblem(409, "agent_exists")
        let config = Config.text("tester", steps: [Config.says])
        let agents = try #require(try await tenant.send("GET", "/api/agents").json()["data"]?.elements.first { _ in true })
        let id = try #require(agents["agentId"]?.string)
        try await create(tenant, "/api/agents/\(id)/versions", #"{"config":{}}"#, key: "k").expectProblem(422, "invalid_body")
        try await create(tenant, "/api/agents/\(id)/versions", #"{"config":\#(config)}"#, key: "k").expectCreated()
        try await create(tenant, "/api/runs", run, key: "k").expectCreated()
        try await create(tenant, "/api/agents", #"{"name":"other"}"#, key: "k").expectCreated()
    }

    @Test func `an agent whose first version is refused is not made`() async throws {
        let tenant = try await TestTenant.make()
        let config = Config.text("tester", steps: [Config.says])
        // Valid, and yet refused: the name in the config is another.
        for headers in [[], keyed("k")] {
            let answer = try await tenant.send("POST", "/api/agents", #"{"name":"other","config":\#(config)}"#, headers: headers)
            try answer.expectProblem(422, "invalid_body")
        }
        #expect(try await count(tenant, "agents") == 0)
    }

    @Test func `the same text is another key for another tenant, another principal and another path`() async throws {
        let tenant = try await TestTenant.make()
        let other = try await TestTenant.make()
        let colleague = tenant.gateway.client(key: try await tenant.gateway.environment.makeKey(tenant.scope))
        try await create(tenant, "/api/agents", #"{"name":"a"}"#, key: "k").expectCreated()
        try await create(other, "/api/agents", #"{"name":"a"}"#, key: "k").expectCreated()
        try await colleague.send("POST", "/api/agents", #"{"name":"b"}"#, headers: keyed("k")).expectCreated()
        try await create(tenant, "/api/devices/enrollment-tokens", "{}", key: "k").expectCreated()
        #expect(try await count(tenant, "agents") == 2)
        #expect(try await count(other, "agents") == 1)
    }

    @Test func `what cannot be seen is 404 before its key is looked at`() async throws {
        let tenant = try await TestTenant.make()
        let other = try await TestTenant.make()
        let agent = try await other.agent(steps: [Config.says])
        let config = Config.text("tester", steps: [Config.says])
        for id in [agent.agentId, unknownID(), "no-uuid"] {
            try await create(tenant, "/api/agents/\(id)/versions", #"{"config":\#(config)}"#, key: "k")
                .expectProblem(404, "agent_not_found")
        }
    }

    /// Holds the slot of the request that it is given the parts of, as a replica would that is in the middle of it.
    private func holding<R: Sendable>(
        _ tenant: TestTenant, key: String, body: String, _ work: @Sendable () async throws -> R
    ) async throws -> R {
        let database = tenant.gateway.environment.database.tenant(tenant.scope)
        let rows = try await tenant.gateway.environment.owner.query(
            "SELECT key_id FROM hsafa.api_keys WHERE tenant_id = \(tenant.scope.tenantID)", scope: tenant.scope.tenantID.description)
        let request = IdempotentRequest(
            try #require(IdempotencyKey(header: key)), principalID: try #require(rows.first).decode(0), operation: "createAgent",
            method: "POST", path: "/api/agents", query: nil, contentType: "application/json", body: Array(body.utf8))
        return try await database.inTransaction { inside in
            #expect(try await inside.takeIdempotencySlot(request, waitMilliseconds: 1000))
            let result = try await work()
            // Never answered: this replica failed.
            throw Held(value: result)
        }
    }

    private struct Held: Error { let value: any Sendable }

    @Test func `while the first is under way a twin waits, is told so, and holds up nobody else`() async throws {
        // A gateway of its own, for its database is looked at.
        let gateway = try await TestGateway.running(in: try await .fresh())
        let tenant = try await TestTenant.make(on: gateway)
        let body = #"{"name":"slow"}"#
        let start = ContinuousClock.now
        do {
            try await holding(tenant, key: "k", body: body) {
                try await withThrowingTaskGroup(of: Answer.self) { group in
                    for _ in 0..<30 { group.addTask { try await create(tenant, "/api/agents", body, key: "k") } }
                    var mostWaiting = 0
                    for index in 0..<20 {
                        try await create(tenant, "/api/agents", #"{"name":"quick-\#(index)"}"#, key: "q\(index)").expectCreated()
                        mostWaiting = max(mostWaiting, try await waitingTransactions(gateway))
                    }
                    #expect(mostWaiting <= 1, "thirty twins hold one connection of the lane of transactions")
                    for try await answer in group {
                        try answer.expectProblem(409, "request_in_flight")
                        #expect(answer.header("Retry-After") == "1")
                    }
                }
                #expect(ContinuousClock.now - start >= .milliseconds(Limits.idempotencyWaitMilliseconds - 500))
            }
        } catch is Held {}
        // The holder has gone without a trace: the request is good.
        try await create(tenant, "/api/agents", body, key: "k").expectCreated()
    }

    private func waitingTransactions(_ gateway: TestGateway) async throws -> Int {
        let rows = try await gateway.environment.owner.query(
            """
            SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.datname = current_database() AND l.locktype = 'transactionid' AND NOT l.granted
            """, lane: .alone)
        return try rows.first?.decode(0, as: Int.self) ?? 0
    }

    @Test func `a key on what does not create changes nothing`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [#"{"toolCalls":[{"name":"ask","arguments":{}}]}"#], tools: [Config.browser("ask")])
        for _ in 0..<2 {
            let answer = try await tenant.send("POST", "/api/runs/\(run)/cancel", headers: keyed("k"))
            #expect(answer.status == 200 && answer.header("Idempotency-Replayed") == nil)
        }
    }
}

extension Answer {
    func expectCreated(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(status == 201, "\(text)", sourceLocation: sourceLocation)
        #expect(header("Idempotency-Replayed") == nil, sourceLocation: sourceLocation)
    }
}
