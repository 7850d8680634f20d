import Domain
import HsafaClient
import JSON
import Postgres
import Runtime
import Synchronization
import TestSupport
import Testing

/// The same cases over every kind of tool: what the gate says is what happens, wherever a tool is carried out.
@Suite(.timeLimit(.minutes(10)))
struct GateConformanceTests {
    /// - Parameter prefix: of the names of tools.
    static func policy(_ prefix: String, denied: [String] = ["denied"]) -> String {
        func list(_ names: [String]) -> String { "[" + names.map { "\"\(prefix)\($0)\"" }.joined(separator: ", ") + "]" }
        return """
            version: 1
            rules:
              - id: ok
                tools: \(list(["ok", "args", "many"]))
                effect: allow
              - id: few
                tools: \(list(["many"]))
                effect: allow
                limits: { perRun: 1 }
              - id: never
                tools: \(list(denied))
                effect: deny
              - id: no-secrets
                tools: \(list(["args"]))
                when: { properties: { path: { pattern: "secret" } }, required: [path] }
                effect: deny
              - id: person
                tools: \(list(["ask", "changed", "outrun"]))
                effect: require_approval
              - id: quick
                tools: \(list(["late"]))
                effect: require_approval
                approval: { expiresSeconds: 1 }
            """
    }

    static let tools = ["ok", "denied", "unknown", "args", "many", "ask", "late", "changed", "outrun"]

    struct Row: Sendable {
        let name: String
        /// The tool that the model asks for, with what, and how often.
        let tool: String
        var arguments = "{}"
        var times = 1
        /// What the events of its calls are, in order.
        let outcomes: [String]
        var decision: String?
    }

    static let rows = [
        Row(name: "allow", tool: "ok", arguments: #"{"path":"a"}"#, outcomes: ["result"]),
        Row(name: "deny", tool: "denied", outcomes: ["denied_by_policy"]),
        Row(name: "no rule", tool: "unknown", outcomes: ["no_rule_matched"]),
        Row(name: "argument allowed", tool: "args", arguments: #"{"path":"open"}"#, outcomes: ["result"]),
        Row(name: "argument denied", tool: "args", arguments: #"{"path":"secret"}"#, outcomes: ["denied_by_policy"]),
        Row(name: "over limit", tool: "many", times: 2, outcomes: ["limit_per_run", "result"]),
        Row(name: "approval given", tool: "ask", arguments: #"{"n":1}"#, outcomes: ["result"], decision: "approve"),
        Row(name: "approval refused", tool: "ask", arguments: #"{"n":1}"#, outcomes: ["approval_denied"], decision: "deny"),
        Row(name: "approval expired", tool: "late", outcomes: ["approval_expired"]),
        Row(name: "other arguments approved", tool: "ask", arguments: #"{"n":1}"#, outcomes: ["result"], decision: "differ"),
        Row(name: "policy denies before approval", tool: "changed", outcomes: ["denied_by_policy"], decision: "outdated"),
        Row(name: "policy denies after approval", tool: "outrun", outcomes: ["denied_by_policy"], decision: "outrun"),
    ]

    private static let table = Mutex<[String: [GateKind: String]]>([:])

    /// Two processes over one database, each with its folder: people and tool clients talk to `front`, `back` works on the runs.
    private struct Stage {
        let kind: GateKind
        let front: PolicyGateway
        let back: PolicyGateway
        let tenant: TestTenant

        func set(_ policy: String) throws { for policies in [front, back] { try policies.set(policy) } }
        /// Takes the tenant's calls out of what is due, in the database alone.
        func hold(_ isHeld: Bool) async throws {
            _ = try await front.gateway.environment.owner.query(
                "UPDATE hsafa.tenants SET status = \(isHeld ? "suspended" : "active") WHERE tenant_id = \(tenant.scope.tenantID)",
                scope: tenant.scope.tenantID.description, lane: .alone)
        }
        /// The same, after somebody thought better of it.
        func stricter(_ tool: String) -> String { policy(kind.prefix, denied: ["denied", tool]) }
    }

    @Test(arguments: GateKind.allCases.filter { GateKind.refused[$0] == nil })
    func `every case comes out the same for every kind of tool`(kind: GateKind) async throws {
        let environment = try await TestEnvironment.fresh()
        // Nobody hears of a tenant that is suspended in the database alone.
        func hearsLate(_ configuration: inout GatewayConfiguration) { configuration.intervals.accessPoll = .seconds(3600) }
        let front = try await PolicyGateway.running(in: environment, maxConcurrentRuns: 0, hearsLate)
        let back = try await PolicyGateway.running(in: environment, hearsLate)
        let stage = Stage(kind: kind, front: front, back: back, tenant: try await TestTenant.make(on: front.gateway))
        let places = try await GateKind.Places.shared.value
        var device = try await stage.tenant.device()
        // The call that policy outruns waits for a device.
        device.tools = Self.tools.filter { $0 != "outrun" }
        try await stage.tenant.agent(GateKind.Places.agent, steps: [Config.says])
        if kind == .delivery { _ = try await External.rotate(stage.tenant) }
        for (index, row) in Self.rows.enumerated() {
            let call = #"{"name":"\#(kind.prefix)\#(row.tool)","arguments":\#(row.arguments)}"#
            let step = #"{"toolCalls":[\#(Array(repeating: call, count: row.times).joined(separator: ","))]}"#
            let config = kind.config("row-\(index)", steps: [step, Config.tellsResult], tools: Self.tools, places)
            _ = try await stage.tenant.client.agents.create(name: "row-\(index)", config: config)
        }
        try stage.set(Self.policy(kind.prefix))
        try await device.connected(front.gateway) { socket async throws in
            for (index, row) in Self.rows.enumerated() {
                let outcomes = try await perform(row, index, stage, socket)
                #expect(outcomes == row.outcomes, "\(row.name) for \(kind.rawValue)")
                Self.table.withLock { $0[row.name, default: [:]][kind] = outcomes.joined(separator: ", ") }
            }
        }
        Self.table.withLock { table in
            guard table.values.allSatisfy({ $0.count == GateKind.allCases.count - GateKind.refused.count }) else { return }
            let kinds = GateKind.allCases.filter { GateKind.refused[$0] == nil }
            let lines = Self.rows.map { row in ([row.name] + kinds.map { table[row.name]?[$0] ?? "" }).joined(separator: " | ") }
            print("GATE case | " + kinds.map(\.rawValue).joined(separator: " | ") + "\n" + lines.joined(separator: "\n"))
        }
    }

    private func perform(_ row: Row, _ index: Int, _ stage: Stage, _ socket: RawSocket) async throws -> [String] {
        let tenant = stage.tenant
        let run = try await tenant.start("row-\(index)")
        if let decision = row.decision { try await decide(decision, run, row, stage) }
        if row.outcomes.contains("result") { try await answer(run, stage, socket) }
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(row.name): \(events.last?.type ?? "")")
        try await check(run, row, tenant)
        try stage.set(Self.policy(stage.kind.prefix))
        return events.compactMap { event in
            switch event.type {
            case "tool.result.received": "result"
            case "tool.call.denied": event["reason"]
            default: nil
            }
        }
    }

    private func decide(_ decision: String, _ run: String, _ row: Row, _ stage: Stage) async throws {
        let tenant = stage.tenant
        let (call, hash) = try await tenant.approval(of: run)
        // Before it is decided nobody's answer counts.
        let early = try await tenant.answer(run, call)
        #expect(early.status == 409, "\(early.text)")
        #expect(try await tenant.snapshot(run)["pendingCalls"]?.count == 0)
        switch decision {
        case "deny": #expect(try await tenant.decide("deny", run, call, #"{"reason":"no"}"#).string("status") == "denied")
        case "outdated":
            try stage.set(stage.stricter(row.tool))
            try await tenant.decide("approve", run, call).expectProblem(409, "denied_by_policy")
        case "outrun":
            // What carries out server tools knows before the person does; whoever hears a client's answer learns of it in between.
            try stage.back.set(stage.stricter(row.tool))
            // Either process posts, also the one that does not know yet: until both do, nothing of this tenant is due.
            if stage.kind == .delivery { try await stage.hold(true) }
            #expect(try await tenant.decide("approve", run, call).string("status") == "approved")
            try stage.front.set(stage.stricter(row.tool))
            if stage.kind == .delivery { try await stage.hold(false) }
            if stage.kind == .browser || stage.kind == .external {
                try await tenant.answer(run, call).expectProblem(409, "denied_by_policy")
            }
        default:
            if decision == "differ" { try await approveAnother(call, hash, run, tenant) }
            #expect(try await tenant.decide("approve", run, call, #"{"callHash":"\#(hash)"}"#).string("status") == "approved")
        }
        for again in ["approve", "deny"] {
            try await tenant.decide(again, run, call).expectProblem(409, "approval_already_decided")
        }
    }

    /// The approver looked at another call; and the one that waits cannot be changed under him, not even in the database.
    private func approveAnother(_ call: String, _ hash: String, _ run: String, _ tenant: TestTenant) async throws {
        let other = hash.dropLast() + (hash.last == "0" ? "1" : "0")
        try await tenant.decide("approve", run, call, #"{"callHash":"\#(other)"}"#).expectProblem(409, "call_differs")
        let change: SQL = """
            UPDATE hsafa.tool_calls SET args = '{"n":2}' WHERE tenant_id = \(tenant.scope.tenantID)
            """
        await #expect(throws: PostgresError.self) {
            try await tenant.gateway.environment.app.query(change, scope: tenant.scope.tenantID.description, lane: .alone)
        }
    }

    private func answer(_ run: String, _ stage: Stage, _ socket: RawSocket) async throws {
        let tenant = stage.tenant
        switch stage.kind.target {
        case .server: break
        case .device:
            let request = try await socket.next("tool.call.request")
            #expect(request["runId"]?.string == run)
            try await socket.answer(try #require(request["callId"]?.string))
            #expect(try await socket.isApplied())
        case .external where stage.kind == .delivery: break
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
