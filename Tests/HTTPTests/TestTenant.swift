import Domain
import HsafaClient
import JSON
import NIOHTTP1
import Storage
import TestSupport
import Testing

/// A tenant of one test, with a key.
struct TestTenant: Sendable {
    let gateway: TestGateway
    let scope: TenantScope
    let key: String
    let client: HsafaClient

    static func make(on gateway: TestGateway? = nil, scopes: [Scope] = Scope.allCases) async throws -> TestTenant {
        let gateway = if let gateway { gateway } else { try await TestGateway.shared.value }
        return try await TestTenant(gateway, try await gateway.environment.makeTenant(), scopes: scopes)
    }

    private init(_ gateway: TestGateway, _ scope: TenantScope, scopes: [Scope]) async throws {
        self.gateway = gateway
        self.scope = scope
        key = try await gateway.environment.makeKey(scope, scopes: scopes)
        client = gateway.client(key: key)
    }

    /// The same tenant through another replica.
    func through(_ other: TestGateway) -> HsafaClient { other.client(key: key) }

    func send(_ method: String, _ path: String, _ body: String? = nil, headers: [(String, String)] = []) async throws -> Answer {
        try await client.send(method, path, body, headers: headers)
    }

    // MARK: Agents and runs

    @discardableResult
    func agent(_ name: String = "tester", steps: [String], tools: [String] = [], maxSteps: Int? = nil) async throws -> Agent {
        try await client.agents.create(name: name, config: Config.simulated(name, steps: steps, tools: tools, maxSteps: maxSteps))
    }

    /// A run of an agent that is made for it.
    func run(_ name: String = "tester", steps: [String], tools: [String] = [], maxSteps: Int? = nil, deadlineSeconds: Int? = nil)
        async throws -> String
    {
        let agent = try await agent(name, steps: steps, tools: tools, maxSteps: maxSteps)
        return try await client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")], deadlineSeconds: deadlineSeconds).runId
    }

    /// The events of a run up to the first that fits; all of them when none does.
    func events(_ run: String, until isLast: @Sendable (HsafaClient.Event) -> Bool = { _ in false }) async throws -> [HsafaClient.Event] {
        var events: [HsafaClient.Event] = []
        for try await event in client.runs.stream(run) {
            events.append(event)
            if isLast(event) { break }
        }
        return events
    }

    /// The calls of a run, once it waits for them.
    func pendingCalls(_ run: String) async throws -> [JSONNode] {
        _ = try await events(run) { $0.type == "run.status" && $0["status"] == "waiting_tool" }
        return try Array(#require(try await snapshot(run)["pendingCalls"]?.elements))
    }

    func snapshot(_ run: String, _ query: String = "") async throws -> JSONNode { try await send("GET", "/api/runs/\(run)\(query)").json() }

    func answer(_ run: String, _ call: String, _ result: String = #""ok""#) async throws -> Answer {
        try await send("POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":\#(result)}"#)
    }
}

/// An id that names nothing.
func unknownID() -> String { RunID.generate().description }
