import Domain
import FoundationEssentials
import JSON
import Postgres
import Storage
import TestSupport
import Testing

struct UsageTests {
    private func finish(_ run: StorageRun, _ state: RunState, _ spending: TokenSpending) async throws -> TransitionAnswer {
        var transition = RunMachine.finishStep(
            state,
            message: RunEventData.assistantMessage(
                step: state.step, text: "x", reasoning: "", calls: [], usage: spending.usage, finishReason: "stop"), calls: [],
            usage: spending.usage, finishReason: "stop", maxSteps: 10)
        transition.spending = spending
        return try await run.tenant.transition(
            transition, of: run.runID, after: state.lastSeq, claim: run.claimed.claimNumber, at: .now())
    }

    private func spending(_ input: Int, _ output: Int, day: UsageDay = .today, model: String = "simulated/s") -> TokenSpending {
        TokenSpending(day: day, model: model, usage: TokenUsage(inputTokens: input, outputTokens: output))
    }

    @Test func `a step's tokens are counted by the decision that was applied, and by no other`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            _ = try await run.append([RunMachine.stepStarted(1)], after: 2)
            var behind = RunState()
            _ = try await run.tenant.refold(&behind, of: run.runID)
            _ = try await run.append([RunMachine.stepRestarted(1, discardAfterSeq: 3, reason: "x")], after: 3)
            let state = try await run.fold()
            #expect(try await finish(run, behind, spending(1000, 1000)).verdict == .conflict)
            #expect(try await finish(run, state, spending(10, 20)).verdict == .applied)
            #expect(try await finish(run, state, spending(10, 20)).verdict == .fenced, "asked again after a lost answer")
            let usage = try await run.tenant.usage(from: .today, to: .today, limit: 10, after: nil)
            #expect(usage.map(\.usage) == [TokenUsage(inputTokens: 10, outputTokens: 20)])
            #expect(usage.map(\.modelCalls) == [1])
            let today = try await run.tenant.tokensUsed(on: .today)
            #expect(today.tokens == 30 && today.runningRuns == 0)
            let other = db.database.tenant(try await db.makeTenant())
            #expect(try await other.usage(from: .today, to: .today, limit: 10, after: nil).isEmpty)
            #expect(try await other.tokensUsed(on: .today).tokens == 0)
        }
    }

    @Test func `runs that end a step at once are all counted`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let agent = try await db.makeAgent(scope)
            for _ in 0..<16 { _ = try await db.makeRun(scope, agent) }
            let claimed = try await db.claim(limit: 64)
            #expect(claimed.count == 16)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for claim in claimed {
                    group.addTask {
                        let run = StorageRun(db: db, scope: scope, agent: agent, runID: claim.runID, claimed: claim)
                        _ = try await run.append([RunMachine.stepStarted(1)], after: 2)
                        let answer = try await finish(run, try await run.fold(), spending(3, 4))
                        #expect(answer.verdict == .applied)
                    }
                }
                try await group.waitForAll()
            }
            let usage = try await db.database.tenant(scope).usage(from: .today, to: .today, limit: 10, after: nil)
            #expect(usage.map(\.usage) == [TokenUsage(inputTokens: 48, outputTokens: 64)])
            #expect(usage.map(\.modelCalls) == [16])
        }
    }

    @Test func `usage is paged by day and model within its range`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let tenant = db.database.tenant(scope)
            let today = UsageDay.today
            for (ago, model, stripe) in [(0, "a", 0), (0, "a", 1), (0, "b", 0), (1, "a", 0), (2, "c", 0)] {
                try await db.asOwner(
                    scope,
                    """
                    INSERT INTO hsafa.usage_daily (tenant_id, day, model, stripe, input_tokens, output_tokens, model_calls)
                    VALUES (\(scope.tenantID), '1970-01-01'::date + \(Int32(today.daysSinceUnixEpoch - ago)), \(model), \(Int16(stripe)),
                        1, 2, 1)
                    """)
            }
            var seen: [String] = []
            var after: (day: UsageDay, model: String)?
            for _ in 0..<10 {
                let page = try await tenant.usage(from: today.previous, to: today, limit: 1, after: after)
                guard let row = page.first else { break }
                seen.append("\(today.daysSinceUnixEpoch - row.day.daysSinceUnixEpoch)\(row.model)\(row.usage.inputTokens)")
                after = (row.day, row.model)
            }
            #expect(seen == ["0a2", "0b1", "1a1"])
        }
    }

    @Test func `the application can count usage and can neither drop it nor count for another tenant`() async throws {
        try await StorageDatabase.with { db in
            let (mine, other) = (try await db.makeTenant(), try await db.makeTenant())
            let insert: SQL = """
                INSERT INTO hsafa.usage_daily (tenant_id, day, model, stripe, input_tokens, output_tokens, model_calls)
                VALUES (\(other.tenantID), current_date, 'm', 0::smallint, 1, 1, 1)
                """
            let denied = await postgresError { try await db.app.query(insert, scope: mine.tenantID.description) }
            #expect(denied?.sqlState == "42501")
            let drop = await postgresError {
                try await db.app.query(
                    "DELETE FROM hsafa.usage_daily WHERE tenant_id = \(mine.tenantID)", scope: mine.tenantID.description)
            }
            #expect(drop?.sqlState == "42501")
        }
    }

    @Test func `patches of limits merge, null takes one away, and an unknown tenant has none`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let store = TenantLimitsStore(owner: db.owner)
            #expect(try await db.database.tenant(scope).limitOverrides() == TenantLimitOverrides())
            _ = try await store.apply(TenantLimitPatch([.streams: 5, .agents: 7]), to: scope.tenantID)
            let merged = try await store.apply(TenantLimitPatch([.agents: nil, .devices: 9]), to: scope.tenantID)
            #expect(merged == TenantLimitOverrides([.streams: 5, .devices: 9]))
            #expect(try await db.database.tenant(scope).limitOverrides() == merged)
            #expect(try await store.apply(TenantLimitPatch([.agents: 1]), to: .generate()) == nil)
            let found = try #require(try await TenantLimitsStore(owner: db.owner).find(slug: scope.slug))
            #expect(found.tenantID == scope.tenantID && found.overrides == merged)
            // On the machine alone, and by admins in a function that asks for their key.
            for sql in ["hsafa.tenant_limits_by_slug('x')", "hsafa.set_tenant_limits('\(scope.tenantID)', '{}')"] {
                let denied = await postgresError { try await db.app.query(SQL(unsafeSQL: "SELECT \(sql)"), scope: nil, lane: .alone) }
                #expect(denied?.sqlState == "42501", "\(sql)")
            }
        }
    }

    @Test func `fifty makers at once store no more agents than the limit`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let made = try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<50 {
                    group.addTask {
                        switch try await tenant.changes(by: .test).insertAgent(
                            .generate(), name: "agent-\(index)", description: nil, limit: 10)
                        {
                        case .created: true
                        case .limitReached: false
                        case .nameTaken: throw MissingFixture(description: "a name of its own was taken")
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(made == 10)
            let stored = try await tenant.agents(limit: 100, after: nil)
            #expect(stored.count == 10)
            #expect(try await tenant.changes(by: .test).deleteAgent(stored[0].agentID))
            #expect(try await tenant.changes(by: .test).insertAgent(.generate(), name: "next", description: nil, limit: 10).record != nil)
        }
    }
}
