import Domain
import HsafaClient
import JSON
import Runtime
import TestServers
import TestSupport
import Testing

/// Where the gateway's own requests may go is the policies' word: the folder's, then the tenant's, which can only narrow it.
@Suite(.timeLimit(.minutes(5)))
struct EgressPolicyTests {
    /// Who sends.
    enum Sender: String, CaseIterable, Sendable {
        case request, delivery = "external with a URL", mcp = "MCP", model

        func config(_ name: String, _ url: String) -> RawJSON {
            let call = #"{"toolCalls":[{"name":"t","arguments":{}}]}"#
            let text =
                switch self {
                case .request:
                    Config.text(
                        name, steps: [call, Config.says],
                        tools: [#"{"name":"t","executionType":"request","execution":{"url":"\#(url)"}}"#])
                case .delivery:
                    Config.text(
                        name, steps: [call, Config.says],
                        tools: [#"{"name":"t","target":"external","timeoutSeconds":120,"execution":{"url":"\#(url)"}}"#])
                case .mcp:
                    String(Config.text(name, steps: [Config.says]).dropLast())
                        + #","mcp":{"servers":[{"name":"s","url":"\#(url)"}]}}"#
                case .model:
                    #"""
                    {"version":"1.0","agent":{"name":"\#(name)"},
                     "model":{"provider":"openai-compatible","name":"m","baseURL":"\#(url)","apiKey":"k"}}
                    """#
                }
            return RawJSON(trusted: Array(text.utf8))
        }
    }

    private static func policy(egress: String) -> String { PolicyGateway.allowAll + "egress: \(egress)\n" }
    private static let open = policy(egress: #"{ default: public, allow: [ { hosts: ["127.0.0.1"] } ] }"#)
    private static let closed = policy(egress: "{ default: public }")

    private static func layer(_ egress: String) -> String {
        #"{"version":1,"rules":[{"id":"all","effect":"allow"}],"egress":\#(egress)}"#
    }

    @Test(arguments: Sender.allCases) func `what policy does not list is not reached, and the tenant's own only narrows`(
        _ sender: Sender
    ) async throws {
        let policies = try await PolicyGateway.running { $0.egress = .publicAddresses }
        let server = try await ToolServer { _ in .json(#"{"done":true}"#) }
        let url = "http://127.0.0.1:\(server.port)/v1"
        let tenants = [try await TestTenant.make(on: policies.gateway), try await TestTenant.make(on: policies.gateway)]
        if sender == .delivery { for tenant in tenants { _ = try await External.rotate(tenant) } }
        /// Whether a run's requests arrive. Each run is of an agent of its own, so that nothing is known from before.
        func reaches(_ tenant: TestTenant, _ attempt: String) async throws -> Bool {
            let before = server.received.count
            _ = try await tenant.client.agents.create(name: attempt, config: sender.config(attempt, url))
            let events = try await tenant.events(try await tenant.start(attempt))
            #expect(events.last?.type == "run.completed" || sender == .model, "\(attempt)")
            return server.received.count > before
        }
        let (tenant, other) = (tenants[0], tenants[1])
        try policies.set(Self.closed)
        #expect(try await !reaches(tenant, "closed"))
        // What the tenant lists, the folder does not.
        let wide = Self.layer(#"{"default":"public","allow":[{"hosts":["127.0.0.1"]}]}"#)
        #expect(try await tenant.send("PUT", "/api/policies/own", wide).status == 201)
        #expect(try await !reaches(tenant, "wide"))
        try policies.set(Self.open)
        #expect(try await reaches(tenant, "open"))
        #expect(try await tenant.send("PUT", "/api/policies/own", Self.layer(#"{"default":"deny"}"#)).status == 200)
        #expect(try await !reaches(tenant, "narrow"))
        #expect(try await reaches(other, "other"))
        #expect(try await tenant.send("DELETE", "/api/policies/own").status == 204)
        #expect(try await reaches(tenant, "removed"))
        try policies.set(Self.closed)
        #expect(try await !reaches(other, "closed-again"))
        await server.close()
    }
}
