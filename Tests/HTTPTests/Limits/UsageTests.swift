import Domain
import HsafaClient
import JSON
import Postgres
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5)))
struct UsageTests {
    private static func step(_ input: Int, _ output: Int) -> String {
        #"{"text":"x","usage":{"inputTokens":\#(input),"outputTokens":\#(output)}}"#
    }

    @Test func `usage tells what runs used, by day and model, and what is left of each limit`() async throws {
        let tenant = try await TestTenant.limited([.modelTokensPerDay: 1_000_000, .agents: 5, .requestsPerSecond: 1, .requestBurst: 500])
        for (index, name) in ["one", "two"].enumerated() {
            _ = try await tenant.events(try await tenant.run(name, steps: [Self.step(10 * (index + 1), 5)]))
        }
        var usage = try await tenant.send("GET", "/api/usage").json()
        // What was reserved is given back after the run's last event.
        _ = try await eventually {
            usage = try await tenant.send("GET", "/api/usage").json()
            return usage["limits"]?.elements.contains { $0["remaining"]?.int == 1_000_000 - 40 } == true
        }
        let rows = Array(try #require(usage["data"]?.elements))
        #expect(rows.count == 1)
        #expect(rows[0]["day"]?.string == UsageDay.today.description)
        #expect(rows[0]["model"]?.string?.hasPrefix("simulated") == true)
        #expect(rows[0]["inputTokens"]?.int == 30)
        #expect(rows[0]["outputTokens"]?.int == 10)
        #expect(rows[0]["modelCalls"]?.int == 2)
        #expect(usage["nextCursor"]?.isNull == true)
        var limits: [String: JSONNode] = [:]
        for limit in try #require(usage["limits"]?.elements) { limits[limit["name"]?.string ?? ""] = limit }
        #expect(Set(limits.keys) == Set(LimitName.allCases.map(\.rawValue)))
        #expect(limits["model_tokens"]?["limit"]?.int == 1_000_000)
        #expect(limits["model_tokens"]?["used"]?.int == 40)
        #expect(limits["model_tokens"]?["remaining"]?.int == 1_000_000 - 40)
        #expect(limits["model_tokens"]?["resetsAt"]?.string == UsageDay.today.end.description)
        #expect(limits["agents"]?["remaining"]?.int == 3)
        #expect(limits["requests"]?["limit"]?.int == 500)
        #expect((1...500).contains(try #require(limits["requests"]?["remaining"]?.int)))
        #expect(limits["runs"]?["windowSeconds"]?.int == 60)
        let other = try await TestTenant.make()
        let nothing = try await other.send("GET", "/api/usage").json()
        #expect(nothing["data"]?.count == 0)
        let standings = Array(try #require(nothing["limits"]?.elements))
        #expect(standings.last?["name"]?.string == "model_tokens")
        #expect(standings.last?["limit"]?.isNull == true, "no bound on tokens unless one is set")
    }

    @Test func `usage is paged, and its cursor ends where its range does`() async throws {
        let tenant = try await TestTenant.make()
        let database = tenant.gateway.environment.owner
        for (ago, model) in [(0, "p/ä b&c"), (0, "p/x"), (1, "p/x"), (9, "p/x")] {
            _ = try await database.query(
                """
                INSERT INTO hsafa.usage_daily (tenant_id, day, model, stripe, input_tokens, output_tokens, model_calls)
                VALUES (\(tenant.scope.tenantID), '1970-01-01'::date + \(Int32(UsageDay.today.daysSinceUnixEpoch - ago)), \(model),
                    0::smallint, 1, 2, 1)
                """, scope: tenant.scope.tenantID.description, lane: .slow)
        }
        let from = UsageDay.today.previous
        var models: [String] = []
        var cursor: String?
        repeat {
            let query = "?from=\(from)&limit=1" + (cursor.map { "&cursor=\($0)" } ?? "")
            let page = try await tenant.send("GET", "/api/usage\(query)").json()
            models += try #require(page["data"]?.elements).compactMap { $0["model"]?.string }
            cursor = page["nextCursor"]?.string
        } while cursor != nil && models.count < 10
        #expect(models.count == 3 && models.last == "p/x")
        #expect(Set(models.prefix(2)) == ["p/x", "p/ä b&c"])
    }

    @Test(arguments: [
        "?from=2026-01-02&to=2026-01-01", "?from=2020-01-01&to=2026-01-01", "?from=yesterday", "?to=2026-02-30", "?cursor=x",
        "?cursor=MjAyNg", "?limit=0", "?day=1",
    ])
    func `a range or cursor that is none is named`(_ query: String) async throws {
        let tenant = try await TestTenant.make()
        try await tenant.send("GET", "/api/usage\(query)").expectProblem(400, "invalid_query")
    }

    @Test func `usage needs its scope`() async throws {
        let tenant = try await TestTenant.make(scopes: [.runsRead])
        try await tenant.send("GET", "/api/usage").expectProblem(403, "missing_scope")
    }
}
