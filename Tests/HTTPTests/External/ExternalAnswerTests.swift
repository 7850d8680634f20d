import Domain
import HsafaClient
import JSON
import Postgres
import TestServers
import TestSupport
import Testing

/// Answers that come later: who may give one, for what, and how often it counts.
@Suite(.timeLimit(.minutes(5)))
struct ExternalAnswerTests {
    @Test func `a call that is taken with 202 is answered later, by the holder of its token alone`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (tenant, _) = try await External.tenant()
        let url = "http://127.0.0.1:\(server.port)/"
        let run = try await tenant.run(steps: [External.call, Config.tellsResult], tools: [External.tool(url)])
        let other = try await tenant.run("other", steps: [External.call, Config.says], tools: [External.tool(url)])
        let posted = try await server.calls(2)
        let mine = try #require(posted.first { $0.run == run })
        let theirs = try #require(posted.first { $0.run == other })
        _ = try await tenant.events(run) { $0.type == "tool.call.dispatched" }
        #expect(try await tenant.snapshot(run)["pendingCalls"]?[0]?["status"]?.string == "dispatched")
        let flipped = String(mine.token.dropLast(2)) + (mine.token.dropLast().last == "A" ? "BA" : "AA")
        let forged = "hxt_" + String(repeating: "A", count: 86)
        for wrong in [nil, "", "hxt_", flipped, theirs.token, tenant.key, forged, String(repeating: "x", count: 4000)] {
            try await tenant.later(mine.call, wrong).expectProblem(401, "invalid_result_token")
        }
        for id in [unknownID(), "no-uuid", theirs.call] {
            try await tenant.later(id, mine.token).expectProblem(401, "invalid_result_token")
        }
        try await tenant.later(mine.call, mine.token, #"{"result":1,"error":"x"}"#).expectProblem(422, "invalid_body")
        try await tenant.later(mine.call, mine.token, #"{"result":1,"callId":"x"}"#).expectProblem(422, "invalid_body")
        try await tenant.later(mine.call, mine.token, "{").expectProblem(400, "malformed_json")
        let huge = #"{"result":"\#(String(repeating: "x", count: Limits.maxBodyBytes))"}"#
        try await tenant.later(mine.call, mine.token, huge).expectProblem(413, "too_large")
        #expect(try await tenant.later(mine.call, mine.token).json()["applied"]?.bool == true)
        #expect(try await tenant.later(mine.call, mine.token, #"{"result":2}"#).json()["applied"]?.bool == false, "a second answer")
        #expect(try await External.outcome(tenant, run)["result"]?.rawJSON.string == #"{"later":1}"#)
        #expect(try await tenant.later(mine.call, mine.token, #"{"result":3}"#).json()["applied"]?.bool == false, "after the run's end")
        #expect(server.received.count == 2)
        // The old road, over the run, stays open for holders of tools:respond.
        #expect(try await tenant.answer(other, theirs.call).json()["applied"]?.bool == true)
        #expect(try await tenant.events(other).last?.type == "run.completed")
        #expect(try await tenant.later(theirs.call, theirs.token).json()["applied"]?.bool == false)
        await server.close()
    }

    @Test func `a token is no key, and a key is no token`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(steps: [External.call], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        let posted = try #require(try await server.calls().first)
        let bearer = tenant.gateway.client(key: posted.token)
        for (method, path) in [
            ("GET", "/api/runs/\(run)"), ("POST", "/api/runs/\(run)/tool-results"), ("POST", "/api/runs/\(run)/cancel"),
            ("GET", "/api/runs/\(run)/stream"), ("GET", "/api/agents"),
        ] {
            try await bearer.send(method, path, method == "POST" ? "{}" : nil).expectProblem(401, "unauthorized")
        }
        try await tenant.send("POST", "/api/tool-results/\(posted.call)", #"{"result":1}"#).expectProblem(401, "invalid_result_token")
        // Another gateway's master key makes other tokens.
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        let answer = try await tenant.later(posted.call, posted.token)
        #expect(answer.status == 200)
        #expect(try answer.json()["applied"]?.bool == false)
        #expect(try await tenant.events(run).last?.type == "run.canceled")
        await server.close()
    }

    @Test func `an answer at once and one later are one outcome, and the first stands`() async throws {
        let (held, hold) = AsyncStream.makeStream(of: Void.self)
        let server = try await ToolServer { _ in
            for await _ in held { break }
            return .json(#"{"inline":1}"#)
        }
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(
            steps: [External.call, Config.tellsResult], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        let posted = try #require(try await server.calls().first)
        #expect(try await tenant.later(posted.call, posted.token).json()["applied"]?.bool == true)
        hold.finish()
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.filter { $0.type == "tool.result.received" }.map { $0.data.string }.count == 1)
        #expect(events.first { $0.type == "tool.result.received" }?.data.string.contains("later") == true)
        #expect(server.received.count == 1)
        #expect(try await eventually(within: 60) { try await tenant.scheduled() == 0 })
        await server.close()
    }

    @Test func `many answers at once are one`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        let posted = try #require(try await server.calls().first)
        let applied = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<20 {
                group.addTask {
                    try await tenant.later(posted.call, posted.token, #"{"result":\#(number)}"#).json()["applied"]?.bool == true
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(applied == 1)
        #expect(try await tenant.events(run).filter { $0.type == "tool.result.received" }.count == 1)
        await server.close()
    }

    @Test func `a suspended tenant's calls are neither posted nor answered, and go on when it is resumed`() async throws {
        let server = try await ToolServer { request in request.uri == "/later" ? .init(202) : .json("1") }
        let (tenant, _) = try await External.tenant()
        let url = "http://127.0.0.1:\(server.port)"
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool(url + "/later")])
        let posted = try #require(try await server.calls().first)
        let (admin, _) = try await AdminTests.admin(tenant.gateway)
        let path = "/api/admin/tenants/\(tenant.scope.tenantID)"
        #expect(try await admin.send("POST", path + "/suspend").status == 200)
        try await tenant.later(posted.call, posted.token).expectProblem(403, "tenant_suspended")
        #expect(try await admin.send("POST", path + "/resume").status == 200)
        #expect(try await tenant.later(posted.call, posted.token).json()["applied"]?.bool == true)
        // The suspension has ended every stream of the tenant's keys, and the key works again within the poll.
        #expect(try await eventually(within: 60) { try await tenant.send("GET", "/api/runs/\(run)").status == 200 })
        #expect(try await tenant.events(run).last?.type == "run.completed")
        await server.close()
    }

    @Test func `an answer after the call's deadline does not count`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(
            steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/", timeoutSeconds: 3600)])
        let posted = try #require(try await server.calls().first)
        _ = try await tenant.events(run) { $0.type == "tool.call.dispatched" }
        _ = try await tenant.gateway.environment.owner.query(
            "UPDATE hsafa.tool_calls SET deadline_at = now() - interval '1 second' WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone)
        #expect(try await tenant.later(posted.call, posted.token).json()["applied"]?.bool == false)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed" && events.contains { $0.type == "tool.call.expired" })
        await server.close()
    }

    @Test func `answers count among the tenant's requests`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (tenant, _) = try await External.tenant()
        _ = try await tenant.run(steps: [External.call], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        let posted = try #require(try await server.calls().first)
        let answer = try await tenant.later(posted.call, posted.token)
        #expect(answer.header("RateLimit-Policy")?.contains("requests") == true)
        let refused = try await tenant.later(posted.call, "hxt_no")
        #expect(refused.header("RateLimit-Policy") == nil, "nobody's tenant is known without a token")
        await server.close()
    }
}
