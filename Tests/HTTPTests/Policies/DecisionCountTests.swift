import Domain
import Foundation
import HsafaClient
import JSON
import Runtime
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
        #expect(count("publish", "server", "allow") == 1 && count("publish", "browser", "allow") == 1)
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

    @Test func `a question that nothing comes of is not counted`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        let answer = try await tenant.send("POST", "/api/policies/evaluate", #"{"target":"server","tool":"echo","arguments":{}}"#)
        #expect(try answer.string("decision") == "allow")
        #expect(DecisionCounts(of: [policies]) == DecisionCounts())
        let rows = try await tenant.send("GET", "/api/audit").data()
        #expect(rows.compactMap { $0["action"]?.string } == ["key.create", "tenant.create"])
    }

    @Test func `the row of a version says which rule lets each of its tools through, and under which policies`() async throws {
        let tenant = try await TestTenant.make()
        let layer = #"{"version":1,"rules":[{"id":"ask","effect":"require_approval","tools":["ask"]},{"id":"all","effect":"allow"}]}"#
        #expect(try await tenant.send("PUT", "/api/policies/mine", layer).status == 201)
        let agent = try await tenant.agent("judged", steps: [Config.says], tools: [Config.echo, Config.browser("ask")])
        let details = try #require(try await tenant.send("GET", "/api/audit?action=agent_version.publish").data().first?["details"])
        #expect(details["agentId"]?.string == agent.agentId && details["isNew"]?.bool == true)
        let evaluated = try await tenant.send("POST", "/api/policies/evaluate", #"{"target":"server","tool":"echo"}"#)
        #expect(details["policy"]?["policyHash"]?.string == (try evaluated.string("policyHash")))
        let tools = Array(try #require(details["policy"]?["tools"]).elements)
        #expect(tools.map { $0["tool"]?.string } == ["echo", "ask"])
        #expect(tools.map { $0["target"]?.string } == ["server", "browser"])
        #expect(tools.map { $0["decision"]?.string } == ["allow", "require_approval"])
        #expect(tools.last?["rule"]?.string == "tenant/mine/ask")
    }

    /// What the table says of each is what the gate's cases hold over every kind of tool.
    @Test func `the guide's table names every stage that is counted, and every action that a decision leaves`() async throws {
        let guide = try String(contentsOfFile: TestEnvironment.repository + "/docs/POLICIES.md", encoding: .utf8)
        let section = try #require(guide.components(separatedBy: "## What is on record\n").last)
        let lines = section.split(separator: "\n").filter { $0.hasPrefix("|") }.dropFirst(2)
        func names(_ cell: Int) -> [[String]] {
            lines.map { line in
                line.components(separatedBy: " | ")[cell].matches(of: /`([a-z_.]+)`/).map { String($0.1) }
            }
        }
        let metrics = try await PolicyGateway.running().gateway.gateway.metrics.render()
        let stages = metrics.matches(of: /hsafa_policy_decisions_total\{stage="([a-z]+)"/).map { String($0.1) }
        #expect(Set(names(1).compactMap(\.first)) == Set(stages))
        #expect(Set(stages).count == 5)
        let actions = AuditAction.allCases.filter { ["tool_call", "agent_version"].contains($0.targetKind) }
        #expect(Set(names(2).flatMap(\.self)) == Set(actions.map(\.rawValue)))
    }
}
