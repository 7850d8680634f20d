import JSON
import Logging
import Testing

@testable import Domain
@testable import Runtime
@testable import Storage

/// What the gate let through is what is carried out: nothing else of the call reaches a tool.
struct ServerPassTests {
    private static let scope = TenantScope(tenantID: .generate(), slug: "acme")

    private static let config = RawJSON(
        """
        {"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[{"text":"x"}]}},
         "tools":[
           {"name":"echo","executionType":"basic","execution":{"mode":"pass-through"}},
           {"name":"sum","executionType":"compute","execution":{"expression":"a + b"}},
           {"name":"rest","executionType":"waiting","execution":{"seconds":"{{seconds}}"},"timeoutSeconds":60}]}
        """)

    private static func tool(_ name: String) throws -> ToolDefinition {
        try #require(try AgentConfig(reading: try config.document().root).tool(named: name))
    }

    private static func pass(_ tool: String, _ arguments: RawJSON, timeoutSeconds: Int? = nil) throws -> ToolPass {
        var call = CallState(RequestedCall(callID: .generate(), providerCallID: "c", name: tool, arguments: "{\"asked\":true}"))
        call.target = .server
        call.arguments = arguments
        call.timeoutSeconds = timeoutSeconds
        let rules = ToolRules(
            scope: scope, policies: EffectivePolicies(folder: PolicySet(rules: [PolicyRule(id: "all", effect: .allow)], hash: "h")))
        guard case .pass(let pass) = rules.atDispatch(agent: "a", call) else { throw RefusedPass() }
        return pass
    }

    private struct RefusedPass: Error {}

    private static func with<R: Sendable>(_ body: (ServerTools) async throws -> R) async throws -> R {
        try await TestEgress.with { guarded in
            let claimed = ClaimedRun(
                scope: scope, runID: .generate(), agentID: .generate(), agentName: "a", versionID: .generate(), claimNumber: 1, seq: 1,
                deadlineAt: .now().adding(seconds: 3600))
            let mcp = MCPTools(metrics: MetricsRegistry(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { _, _ in
                fatalError("no tool of these asks an MCP server")
            }
            return try await body(
                ServerTools(
                    egress: guarded.egress, tenant: scope, runDeadline: claimed.deadlineAt, secrets: [], mcp: mcp, servers: [],
                    connections: mcp.connections(for: claimed)))
        }
    }

    private static func result(_ performed: ServerTools.Performed) throws -> String? {
        guard case .outcome(let outcome) = performed else { return nil }
        return outcome.result?.string ?? outcome.error?.code
    }

    @Test func `a tool gets the arguments that were judged, and not those of the request`() async throws {
        try await Self.with { tools in
            let echoed = try await tools.perform(try Self.tool("echo"), try Self.pass("echo", RawJSON(#"{"n":1}"#)))
            #expect(try Self.result(echoed) == #"{"n":1}"#)
            let sum = try await tools.perform(try Self.tool("sum"), try Self.pass("sum", RawJSON(#"{"a":2,"b":3}"#)))
            #expect(try Self.result(sum) == "5")
        }
    }

    @Test func `a pass for one tool opens no other`() async throws {
        try await Self.with { tools in
            let refused = try await tools.perform(try Self.tool("sum"), try Self.pass("echo", RawJSON(#"{"a":2,"b":3}"#)))
            #expect(try Self.result(refused) == "not_a_server_tool")
        }
    }

    @Test func `a wait has the time that policy left it, or its tool's where that is less`() async throws {
        try await Self.with { tools in
            let tool = try Self.tool("rest")
            for (seconds, policy, outcome) in [(10, 10, nil), (11, 10, "after_deadline"), (60, nil, nil), (61, 600, "after_deadline")]
                as [(Int, Int?, String?)]
            {
                let pass = try Self.pass("rest", RawJSON.object { $0.field("seconds", int: seconds) }, timeoutSeconds: policy)
                let performed = try Self.result(try await tools.perform(tool, pass))
                #expect(performed == outcome, "\(seconds) s, and policy's \(policy ?? 0)")
            }
        }
    }
}
