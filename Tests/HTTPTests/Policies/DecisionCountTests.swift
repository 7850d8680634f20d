import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

/// Each decision is counted where it is made; which are rows too, `docs/POLICIES.md` says.
struct DecisionCountTests {
    /// Over a database of its own: the metrics are the process'.
    @Test func `decisions are counted by stage, target and what was decided, and rows are of those that settle something`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        let steps = [Config.calls("echo"), Config.calls("ask"), Config.tellsResult]
        let agent = try await tenant.agent("counted", steps: steps, tools: [Config.echo, Config.browser("ask")])
        func count(_ stage: String, _ target: String, _ decision: String) -> Int {
            let series = #"hsafa_policy_decisions_total{stage="\#(stage)",target="\#(target)",decision="\#(decision)"}"#
            return policies.gateway.series(series)
        }
        let published = count("publish", "server", "allow")
        #expect(published > 0 && count("publish", "browser", "allow") == published)
        #expect(count("shown", "server", "allow") == 0, "nobody was shown anything yet")
        // The tool stays published; its model is not shown it any more.
        let narrower = #"{"version":1,"rules":[{"id":"no","effect":"deny","tools":["ask"]},{"id":"yes","effect":"allow"}]}"#
        #expect(try await tenant.send("PUT", "/api/policies/narrow", narrower).status == 201)
        let run = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let shown = events.filter { $0.type == "step.started" }.count
        #expect(shown == 3)
        #expect(count("shown", "server", "allow") == shown && count("shown", "browser", "deny") == shown)
        #expect(count("shown", "browser", "allow") == 0 && count("shown", "server", "deny") == 0)
        #expect(count("call", "server", "allow") == 1 && count("dispatch", "server", "allow") == 1)
        #expect(count("call", "browser", "deny") == 1 && count("dispatch", "browser", "deny") == 0)
        let rows = try await tenant.send("GET", "/api/audit?action=tool_call.decide").data()
        #expect(rows.count == 2, "one for each call, and none for what was shown")
        #expect(Set(rows.compactMap { $0["details"]?["tool"]?.string }) == ["echo", "ask"])
    }
}
