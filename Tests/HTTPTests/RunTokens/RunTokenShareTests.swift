import Domain
import HsafaClient
import TestSupport
import Testing

@testable import GatewayHTTP

/// Whoever has a page's token has a share of the tenant's rate and streams, and not all of them.
@Suite(.timeLimit(.minutes(5)))
struct RunTokenShareTests {
    @Test func `a page that asks without end is refused by its own bound, and its tenant and other pages are not`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let (token, other) = (try await tenant.runToken(run), try await tenant.runToken(run))
        let page = tenant.page(token)
        var refused: Answer?
        // Far more than the burst; how much is refilled meanwhile depends on the machine.
        for _ in 0..<1000 where refused == nil {
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<50 { group.addTask { try await page.send("GET", "/api/runs/\(run)") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            refused = answers.first { $0.status != 200 }
        }
        let answer = try #require(refused)
        try answer.expectProblem(429, "run_token_limit_exceeded")
        #expect(answer.header("Retry-After").flatMap { Int($0) } ?? 0 >= 1)
        #expect(try await tenant.page(other).send("GET", "/api/runs/\(run)").status == 200)
        #expect(try await tenant.send("GET", "/api/runs/\(run)").status == 200)
        #expect(tenant.gateway.metric("hsafa_run_token_refusals_total") > 0)
    }

    @Test func `a token has so many streams open, and another of the same run has its own`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let (token, other) = (try await tenant.runToken(run), try await tenant.runToken(run))
        try await {
            var streams: [EventStream] = []
            for _ in 0..<Limits.maxStreamsPerRunToken {
                var stream = try await EventStream.open(tenant.page(token), run)
                #expect(try await stream.receive())
                streams.append(stream)
            }
            for client in [tenant.page(token), tenant.gateway.client(key: nil)] {
                let query = client.apiKey == nil ? "?token=\(token.text)" : ""
                let refused = try await client.send("GET", "/api/runs/\(run)/stream\(query)")
                try refused.expectProblem(429, "run_token_limit_exceeded")
                #expect(refused.header("Retry-After") == "1")
            }
            #expect(try await tenant.page(token).send("GET", "/api/runs/\(run)").status == 200)
            for client in [tenant.page(other), tenant.client] {
                var stream = try await EventStream.open(client, run)
                #expect(try await stream.receive())
            }
            withExtendedLifetime(streams) {}
        }()
        // They went out of scope, so their connections are closed.
        #expect(try await eventually { try await EventStream.open(tenant.page(token), run).status == 200 })
    }

    @Test func `a key that only reads runs takes back the tokens that it made, and no other key's`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let reader = try await KeyTests.issue(tenant, scopes: ["runs:read"])
        let writer = try await KeyTests.issue(tenant, scopes: ["runs:read", "runs:write"])
        let (own, foreign) = (try await tenant.runToken(run, key: reader.text), try await tenant.runToken(run))
        func revoke(_ token: TestRunToken, _ key: String) async throws -> Answer {
            try await tenant.gateway.client(key: key).send("DELETE", "/api/runs/\(run)/tokens/\(token.id)")
        }
        let refused = try await revoke(foreign, reader.text)
        try refused.expectProblem(403, "missing_scope")
        #expect(refused.text.contains("runs:write"))
        #expect(try await tenant.page(foreign).send("GET", "/api/runs/\(run)").status == 200)
        #expect(try await revoke(own, reader.text).status == 204)
        // Asking again changes nothing, and says so to nobody else.
        #expect(try await revoke(own, reader.text).status == 204)
        #expect(try await revoke(foreign, writer.text).status == 204)
        for token in [own, foreign] { #expect(try await tenant.page(token).send("GET", "/api/runs/\(run)").status == 401) }
        #expect(try await tenant.send("GET", "/api/audit?action=run_token.revoke").data().count == 2)
    }
}
