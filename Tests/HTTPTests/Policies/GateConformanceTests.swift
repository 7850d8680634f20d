import Domain
import HsafaClient
import JSON
import Postgres
import Synchronization
import TestSupport
import Testing

/// The same cases over every target: what the gate says is what happens, wherever a tool is carried out.
@Suite(.timeLimit(.minutes(5)))
struct GateConformanceTests {
    static let policy = """
        version: 1
        rules:
          - id: ok
            tools: [ok, args, many]
            effect: allow
          - id: few
            tools: [many]
            effect: allow
            limits: { perRun: 1 }
          - id: never
            tools: [denied]
            effect: deny
          - id: no-secrets
            tools: [args]
            when: { properties: { path: { pattern: "secret" } }, required: [path] }
            effect: deny
          - id: person
            tools: [ask, changed]
            effect: require_approval
          - id: quick
            tools: [late]
            effect: require_approval
            approval: { expiresSeconds: 1 }
        """
    /// The same, after somebody thought better of it.
    static let stricter = policy.replacing("tools: [denied]", with: "tools: [denied, changed]")

    static let tools = ["ok", "denied", "unknown", "args", "many", "ask", "late", "changed"]

    struct Row: Sendable {
        let name: String
        /// The call that the model makes, and how often.
        let call: String
        var times = 1
        /// What the events of its calls are, in order.
        let outcomes: [String]
        var decision: String?
    }

    static let rows = [
        Row(name: "allow", call: #"{"name":"ok","arguments":{"path":"a"}}"#, outcomes: ["result"]),
        Row(name: "deny", call: #"{"name":"denied","arguments":{}}"#, outcomes: ["denied_by_policy"]),
        Row(name: "no rule", call: #"{"name":"unknown","arguments":{}}"#, outcomes: ["no_rule_matched"]),
        Row(name: "argument allowed", call: #"{"name":"args","arguments":{"path":"open"}}"#, outcomes: ["result"]),
        Row(name: "argument denied", call: #"{"name":"args","arguments":{"path":"secret"}}"#, outcomes: ["denied_by_policy"]),
        Row(name: "over limit", call: #"{"name":"many","arguments":{}}"#, times: 2, outcomes: ["limit_per_run", "result"]),
        Row(name: "approval given", call: #"{"name":"ask","arguments":{"n":1}}"#, outcomes: ["result"], decision: "approve"),
        Row(name: "approval refused", call: #"{"name":"ask","arguments":{"n":1}}"#, outcomes: ["approval_denied"], decision: "deny"),
        Row(name: "approval expired", call: #"{"name":"late","arguments":{}}"#, outcomes: ["approval_expired"]),
        Row(name: "other arguments approved", call: #"{"name":"ask","arguments":{"n":1}}"#, outcomes: ["result"], decision: "differ"),
        Row(
            name: "policy denies before approval", call: #"{"name":"changed","arguments":{}}"#, outcomes: ["denied_by_policy"],
            decision: "outdated"),
    ]

    private static let table = Mutex<[String: [String]]>([:])

    @Test(arguments: ToolTarget.allCases)
    func `every case comes out the same on every target`(target: ToolTarget) async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        var device = try await tenant.device()
        device.tools = Self.tools
        for (index, row) in Self.rows.enumerated() {
            let calls = Array(repeating: row.call, count: row.times).joined(separator: ",")
            try await tenant.agent(
                "row-\(index)", steps: [#"{"toolCalls":[\#(calls)]}"#, Config.tellsResult], tools: Self.tools.map(target.tool))
        }
        try policies.set(Self.policy)
        try await device.connected(tenant.gateway) { socket async throws in
            for (index, row) in Self.rows.enumerated() {
                let outcomes = try await perform(row, index, target, tenant, policies, socket)
                #expect(outcomes == row.outcomes, "\(row.name) on \(target.rawValue)")
                Self.table.withLock { $0[row.name, default: []].append("\(target.rawValue): \(outcomes.joined(separator: ", "))") }
            }
        }
        let lines = Self.table.withLock { table in Self.rows.map { "\($0.name) | \((table[$0.name] ?? []).joined(separator: " | "))" } }
        print("GATE\n" + lines.joined(separator: "\n"))
    }

    private func perform(
        _ row: Row, _ index: Int, _ target: ToolTarget, _ tenant: TestTenant, _ policies: PolicyGateway, _ socket: RawSocket
    ) async throws -> [String] {
        let run = try await tenant.start("row-\(index)")
        if let decision = row.decision { try await decide(decision, run, tenant, policies) }
        if row.outcomes.contains("result") { try await answer(run, target, tenant, socket) }
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(row.name): \(events.last?.type ?? "")")
        try await check(run, row, tenant)
        try policies.set(Self.policy)
        return events.compactMap { event in
            switch event.type {
            case "tool.result.received": "result"
            case "tool.call.denied": event["reason"]
            default: nil
            }
        }
    }

    private func decide(_ decision: String, _ run: String, _ tenant: TestTenant, _ policies: PolicyGateway) async throws {
        let (call, hash) = try await tenant.approval(of: run)
        // Before it is decided nobody's answer counts.
        let early = try await tenant.answer(run, call)
        #expect(early.status == 409, "\(early.text)")
        switch decision {
        case "deny": #expect(try await tenant.decide("deny", run, call, #"{"reason":"no"}"#).string("status") == "denied")
        case "outdated":
            try policies.set(Self.stricter)
            try await tenant.decide("approve", run, call).expectProblem(409, "denied_by_policy")
        default:
            if decision == "differ" {
                // The approver looked at another call; and the one that waits cannot be changed under him, not even in the database.
                let other = hash.dropLast() + (hash.last == "0" ? "1" : "0")
                try await tenant.decide("approve", run, call, #"{"callHash":"\#(other)"}"#).expectProblem(409, "call_differs")
                let change: SQL = """
                    UPDATE hsafa.tool_calls SET args = '{"n":2}' WHERE tenant_id = \(tenant.scope.tenantID)
                    """
                await #expect(throws: PostgresError.self) {
                    try await tenant.gateway.environment.app.query(change, scope: tenant.scope.tenantID.description, lane: .alone)
                }
            }
            #expect(try await tenant.decide("approve", run, call, #"{"callHash":"\#(hash)"}"#).string("status") == "approved")
        }
        for again in ["approve", "deny"] {
            try await tenant.decide(again, run, call).expectProblem(409, "approval_already_decided")
        }
    }

    private func answer(_ run: String, _ target: ToolTarget, _ tenant: TestTenant, _ socket: RawSocket) async throws {
        switch target {
        case .server: break
        case .device:
            let request = try await socket.next("tool.call.request")
            #expect(request["runId"]?.string == run)
            try await socket.answer(try #require(request["callId"]?.string))
            #expect(try await socket.isApplied())
        case .browser, .external:
            var open: String?
            let isFound = try await eventually(within: 60) {
                let calls = try await tenant.snapshot(run)["pendingCalls"]
                open = calls?.elements.first { $0["status"]?.string == "requested" }?["callId"]?.string
                return open != nil
            }
            #expect(isFound)
            #expect(try await tenant.answer(run, try #require(open)).json()["applied"]?.bool == true)
        }
    }

    /// Every decision has its row, and the arguments are in none of them.
    private func check(_ run: String, _ row: Row, _ tenant: TestTenant) async throws {
        let rows = try await tenant.send("GET", "/api/audit?action=tool_call.decide&limit=200").data()
            .filter { $0["details"]?["runId"]?.string == run }
        #expect(rows.count >= row.times, "\(row.name)")
        for decision in rows {
            #expect(decision["actor"]?["kind"]?.string == "agent")
            let details = decision["details"]
            #expect(details?["policyHash"]?.string?.hasPrefix("sha256:") == true)
            #expect(details?["argumentsHash"]?.string?.hasPrefix("sha256:") == true)
            #expect((details?["rules"]?.count ?? 0) > 0 || row.name == "no rule")
            #expect(details?["agentName"]?.string?.hasPrefix("row-") == true)
        }
    }
}
