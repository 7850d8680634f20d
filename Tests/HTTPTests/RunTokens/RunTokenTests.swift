import Domain
import HsafaClient
import JSON
import Postgres
import TestSupport
import Testing

@testable import GatewayHTTP

/// What a page can do with a token of one run.
@Suite(.timeLimit(.minutes(5)))
struct RunTokenTests {
    // MARK: Making

    @Test func `a token is made, shown once, listed without its secret, and only its hash is stored`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let answer = try await tenant.send("POST", "/api/runs/\(run)/tokens", #"{"grants":["tools"],"expiresSeconds":900}"#)
        #expect(answer.status == 201, "\(answer.text)")
        let (id, text) = (try answer.string("tokenId"), try answer.string("token"))
        SuiteLog.noteSecret(String(text.suffix(49)))
        #expect(CredentialToken(text, kind: .runToken) != nil)
        #expect(try answer.json()["grants"]?.elements.compactMap(\.string) == ["tools"])
        let expiresAt = try #require(Timestamp(rfc3339: try answer.string("expiresAt")))
        #expect(expiresAt <= Timestamp.now().adding(seconds: 900) && expiresAt > Timestamp.now().adding(seconds: 300))
        let secret = String(text.suffix(49))
        for path in ["/api/runs/\(run)/tokens", "/api/audit", "/api/runs/\(run)", "/api/runs/\(run)/events"] {
            let shown = try await tenant.send("GET", path)
            #expect(shown.status == 200 && !shown.text.contains(secret), "\(path)")
        }
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tokens").data().compactMap { $0["tokenId"]?.string } == [id])
        let stored = try await tenant.gateway.environment.owner.query(
            "SELECT to_jsonb(t)::text FROM hsafa.run_tokens t WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description)
        #expect(try stored.first?.decode(0, as: String.self).contains(secret) == false)
        let row = try #require(
            try await tenant.send("GET", "/api/audit?action=run_token.create").data().first { $0["target"]?["id"]?.string == id })
        #expect(row["actor"]?["kind"]?.string == "key" && row["details"]?["runId"]?.string == run)
    }

    @Test func `nobody hands out more than he has, and no longer`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Config.calls("ask")], tools: [Config.browser("ask")], deadlineSeconds: 100)
        let soon = Timestamp.now().adding(seconds: 50)
        let reader = try await KeyTests.issue(tenant, scopes: ["runs:read"], #","expiresAt":"\#(soon)""#)
        let client = tenant.gateway.client(key: reader.text)
        for (grant, scope) in [("tools", "tools:respond"), ("approvals", "approvals:write")] {
            let answer = try await client.send("POST", "/api/runs/\(run)/tokens", #"{"grants":["\#(grant)"]}"#)
            try answer.expectProblem(403, "missing_scope")
            #expect(answer.text.contains(scope))
        }
        let writer = try await KeyTests.issue(tenant, scopes: ["runs:write", "tools:respond"])
        try await tenant.gateway.client(key: writer.text).send("POST", "/api/runs/\(run)/tokens", "{}")
            .expectProblem(403, "missing_scope")
        func expiry(_ client: HsafaClient) async throws -> Timestamp {
            let answer = try await client.send("POST", "/api/runs/\(run)/tokens", #"{"expiresSeconds":86400}"#)
            SuiteLog.noteSecret(String(try answer.string("token").suffix(49)))
            return try #require(Timestamp(rfc3339: try answer.string("expiresAt")))
        }
        #expect(try await expiry(client) <= soon)
        let deadline = try #require(try await tenant.snapshot(run)["deadlineAt"]?.string.flatMap { Timestamp(rfc3339: $0) })
        #expect(try await expiry(tenant.client) <= deadline.adding(seconds: Limits.runTokenGraceSeconds))
        let (admin, _) = try await AdminTests.admin(tenant.gateway)
        try await admin.send("POST", "/api/runs/\(run)/tokens", "{}").expectProblem(403, "missing_scope")
    }

    @Test func `a run that has ended gets no token, and neither does one that has many`() async throws {
        let tenant = try await TestTenant.make()
        let ended = try await tenant.run(steps: [Config.says])
        _ = try await tenant.events(ended)
        try await tenant.send("POST", "/api/runs/\(ended)/tokens").expectProblem(409, "run_finished")
        let (run, _) = try await tenant.askingRun()
        // All at once: the bound holds also where each of them would still have found room.
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            for _ in 0..<(Limits.maxRunTokensPerRun + 20) { group.addTask { try await tenant.send("POST", "/api/runs/\(run)/tokens") } }
            return try await group.reduce(into: [Answer]()) { $0.append($1) }
        }
        for answer in answers where answer.status == 201 { SuiteLog.noteSecret(String(try answer.string("token").suffix(49))) }
        #expect(answers.count { $0.status == 201 } == Limits.maxRunTokensPerRun)
        for answer in answers where answer.status != 201 { try answer.expectProblem(409, "too_many_run_tokens") }
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tokens").data().count == Limits.maxRunTokensPerRun)
        // Only what was made is on record.
        let made = try await tenant.send("GET", "/api/audit?action=run_token.create&limit=200").data()
        #expect(made.count == Limits.maxRunTokensPerRun)
        // Tokens that are over make room.
        _ = try await tenant.gateway.environment.owner.query(
            "UPDATE hsafa.run_tokens SET expires_at = now() - interval '2 minutes' WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone)
        _ = try await tenant.runToken(run)
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tokens").data().count == 1)
    }

    // MARK: Watching

    @Test func `a page watches with the token in a header or in the query, resumes, and is told when there is no more`() async throws {
        let tenant = try await TestTenant.make()
        let (run, call) = try await tenant.askingRun()
        let token = try await tenant.runToken(run, ["tools"])
        let nobody = tenant.gateway.client(key: nil)
        var byHeader = try await EventStream.open(tenant.page(token), run)
        var byQuery = try await EventStream.open(nobody, run, "?token=\(token.text)&since=2-0")
        #expect(byHeader.status == 200 && byQuery.status == 200)
        #expect(
            try await tenant.page(token).send(
                "POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":"from the page"}"#
            ).status == 200)
        while try await byHeader.receive() {}
        while try await byQuery.receive() {}
        let all = try await EventStream.whole(tenant, run).events()
        #expect(all.last?.data.contains("run.completed") == true)
        #expect(try byHeader.events() == all)
        #expect(try byQuery.events() == Array(all.dropFirst(2)))
        let last = try #require(all.last)
        let over = try await EventStream.open(nobody, run, "?token=\(token.text)", lastEventID: last.id)
        #expect(over.status == 204, "the run has ended, and its token tells so for a moment")
        try await tenant.page(token).send("GET", "/api/runs/\(run)/stream?token=\(token.text)").expectProblem(400, "invalid_query")
        try await tenant.send("GET", "/api/runs/\(run)/stream?token=\(token.text)").expectProblem(400, "invalid_query")
        try await tenant.age(run, endedSeconds: Limits.runTokenGraceSeconds + 1)
        try await nobody.send("GET", "/api/runs/\(run)/stream?token=\(token.text)").expectProblem(401, "unauthorized")
        try await tenant.page(token).send("GET", "/api/runs/\(run)/stream").expectProblem(401, "unauthorized")
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tokens").data().isEmpty)
    }

    @Test func `a key in the query opens nothing, whichever operation is asked`() async throws {
        let tenant = try await TestTenant.make()
        let things = try await TenantThings.make(tenant)
        for route in RouteTable.all where route.requirement != .nothing {
            let path = try #require(TenantThings.path(route.path) { things.ids[$0] })
            let answer = try await tenant.gateway.client(key: nil).send("\(route.method)", "\(path)?token=\(tenant.key)")
            #expect(answer.status == 401, "\(route.operationID): \(answer.text)")
        }
    }

    @Test func `streams that a token opens are the tenant's streams`() async throws {
        let tenant = try await TestTenant.limited([.streams: 1])
        let (run, _) = try await tenant.askingRun()
        let token = try await tenant.runToken(run)
        var open = try await EventStream.open(tenant.page(token), run)
        _ = try await open.receive()
        try await tenant.gateway.client(key: nil).send("GET", "/api/runs/\(run)/stream?token=\(token.text)")
            .expectProblem(429, "stream_limit_exceeded")
        try await tenant.send("GET", "/api/runs/\(run)/stream").expectProblem(429, "stream_limit_exceeded")
        _ = try await tenant.send("POST", "/api/runs/\(run)/cancel")
        while try await open.receive() {}
    }

    // MARK: Calls and approvals

    @Test func `a page answers its own calls and no others, and only where that was granted`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Config.calls("ask", "fs.read", "charge")],
            tools: [Config.browser("ask"), Config.device, #"{"name":"charge","target":"external"}"#])
        let calls = try await tenant.pendingCalls(run)
        func call(_ tool: String) throws -> String { try #require(calls.first { $0["tool"]?.string == tool }?["callId"]?.string) }
        func answer(_ token: TestRunToken, _ call: String) async throws -> Answer {
            try await tenant.page(token).send("POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":1}"#)
        }
        let watcher = try await tenant.runToken(run)
        let approver = try await tenant.runToken(run, ["approvals"])
        let page = try await tenant.runToken(run, ["tools"])
        for token in [watcher, approver] { try await answer(token, try call("ask")).expectProblem(403, "missing_grant") }
        for other in ["fs.read", "charge"] { try await answer(page, try call(other)).expectProblem(409, "wrong_target") }
        // Of another run of the tenant, by its own run's path.
        let (_, foreign) = try await tenant.askingRun("other")
        try await answer(page, foreign).expectProblem(404, "tool_call_not_found")
        #expect(try await tenant.snapshot(run)["pendingCalls"]?.count == 3)
        #expect(try await answer(page, try call("ask")).json()["applied"]?.bool == true)
        #expect(try await answer(page, try call("ask")).json()["applied"]?.bool == false)
        // The tenant's own key answers for its systems, as before.
        #expect(try await tenant.answer(run, try call("charge")).json()["applied"]?.bool == true)
    }

    @Test func `a page decides where that was granted, and the log says that it did`() async throws {
        let tenant = try await TestTenant.make()
        let (run, call) = try await tenant.heldRun()
        let watcher = try await tenant.runToken(run)
        let page = try await tenant.runToken(run, ["tools"])
        let approver = try await tenant.runToken(run, ["approvals"])
        let path = "/api/runs/\(run)/tool-calls/\(call)"
        for token in [watcher, page] {
            for decision in ["approve", "deny"] {
                try await tenant.page(token).send("POST", "\(path)/\(decision)").expectProblem(403, "missing_grant")
            }
        }
        try await tenant.page(page).send("POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":1}"#)
            .expectProblem(409, "approval_pending")
        try await tenant.page(approver).send("POST", "\(path)/approve", #"{"callHash":"another"}"#).expectProblem(409, "call_differs")
        #expect(try await tenant.page(approver).send("POST", "\(path)/approve").string("status") == "approved")
        let approved = try await tenant.events(run) { $0.type == "tool.call.approved" }.last
        #expect(approved?["by"] == "run_token:\(approver.id)")
        let row = try #require(try await tenant.send("GET", "/api/audit?action=tool_call.approve").data().first)
        #expect(row["actor"]?["kind"]?.string == "run_token" && row["actor"]?["id"]?.string == approver.id)
        #expect(
            try await tenant.page(page).send("POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":1}"#).json()[
                "applied"]?
                .bool == true)
        #expect(try await tenant.events(run).last?.type == "run.completed")
    }
}
