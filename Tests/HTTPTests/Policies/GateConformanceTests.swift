import Domain
import HsafaClient
import JSON
import Postgres
import Runtime
import Synchronization
import TestSupport
import Testing

/// The same cases over every kind of tool: what the gate says is what happens, wherever a tool is carried out, and each of its decisions is
/// on record as `docs/POLICIES.md` says.
@Suite(.timeLimit(.minutes(10)))
struct GateConformanceTests {
    private static let table = Mutex<[String: [GateKind: String]]>([:])

    /// Two processes over one database, each with its folder: people and tool clients talk to `front`, `back` works on the runs.
    private struct Stage {
        let kind: GateKind
        let front: PolicyGateway
        let back: PolicyGateway
        let tenant: TestTenant

        func set(_ policy: String) throws { for policies in [front, back] { try policies.set(policy) } }
        var policy: String { GateCase.policy(kind.prefix) }
        var counts: DecisionCounts { DecisionCounts(of: [front, back]) }
        /// Of the policies in force, which are the same ones in both.
        func policyHash() throws -> String {
            let hashes = [front, back].map { $0.gateway.gateway.policies.current.hash }
            try #require(hashes[0] == hashes[1])
            return hashes[0]
        }
        /// Takes the tenant's calls out of what is due, in the database alone.
        func hold(_ isHeld: Bool) async throws {
            _ = try await front.gateway.environment.owner.query(
                "UPDATE hsafa.tenants SET status = \(isHeld ? "suspended" : "active") WHERE tenant_id = \(tenant.scope.tenantID)",
                scope: tenant.scope.tenantID.description, lane: .alone)
        }
        /// The same, after somebody thought better of it.
        func stricter(_ tool: String) -> String { GateCase.policy(kind.prefix, denied: ["denied", tool]) }
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
        device.tools = GateCase.tools.map(\.key).filter { $0 != "outrun" }
        try await stage.tenant.agent(GateKind.Places.agent, steps: [Config.says])
        if kind == .delivery { _ = try await External.rotate(stage.tenant) }
        var agents: [Agent] = []
        for (index, row) in GateCase.all.enumerated() {
            let call = #"{"name":"\#(kind.prefix)\#(row.tool)","arguments":\#(row.arguments)}"#
            let step = #"{"toolCalls":[\#(Array(repeating: call, count: row.times).joined(separator: ","))]}"#
            let config = kind.config("row-\(index)", steps: [step, Config.tellsResult], tools: GateCase.tools.map(\.key), places)
            agents.append(try await stage.tenant.client.agents.create(name: "row-\(index)", config: config))
        }
        try stage.set(stage.policy)
        try await device.connected(front.gateway) { socket async throws in
            for (row, agent) in zip(GateCase.all, agents) {
                let outcomes = try await perform(row, agent, stage, socket)
                #expect(outcomes == row.outcomes, "\(row.name) for \(kind.rawValue)")
                Self.table.withLock { $0[row.name, default: [:]][kind] = outcomes.joined(separator: ", ") }
            }
        }
        Self.table.withLock { table in
            guard table.values.allSatisfy({ $0.count == GateKind.allCases.count - GateKind.refused.count }) else { return }
            let kinds = GateKind.allCases.filter { GateKind.refused[$0] == nil }
            let lines = GateCase.all.map { row in ([row.name] + kinds.map { table[row.name]?[$0] ?? "" }).joined(separator: " | ") }
            print("GATE case | " + kinds.map(\.rawValue).joined(separator: " | ") + "\n" + lines.joined(separator: "\n"))
        }
    }

    private func perform(_ row: GateCase, _ agent: Agent, _ stage: Stage, _ socket: RawSocket) async throws -> [String] {
        let tenant = stage.tenant
        let (hash, before) = (try stage.policyHash(), stage.counts)
        let run = try await tenant.start(agent.name)
        if let person = row.person { try await decide(person, run, row, stage) }
        if row.goOut > 0 { try await answer(run, stage, socket) }
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(row.name): \(events.last?.type ?? "")")
        try await checkRows(run, row, agent, stage, atCall: hash)
        try await checkCounts(run, row, stage, since: before, steps: events.count { $0.type == "step.started" })
        try stage.set(stage.policy)
        return try events.compactMap { event in
            switch event.type {
            case "tool.result.received": try event.json()["error"].map { "failed: \($0.rawJSON.string)" } ?? "result"
            case "tool.call.denied": event["reason"]
            default: nil
            }
        }
    }

    private func decide(_ person: GateCase.Person, _ run: String, _ row: GateCase, _ stage: Stage) async throws {
        let tenant = stage.tenant
        let (call, hash) = try await tenant.approval(of: run)
        // Before it is decided nobody's answer counts.
        let early = try await tenant.answer(run, call)
        #expect(early.status == 409, "\(early.text)")
        #expect(try await tenant.snapshot(run)["pendingCalls"]?.count == 0)
        switch person {
        case .denies: #expect(try await tenant.decide("deny", run, call, #"{"reason":"no"}"#).string("status") == "denied")
        case .isOutdated:
            try stage.set(stage.stricter(row.tool))
            try await tenant.decide("approve", run, call).expectProblem(409, "denied_by_policy")
        case .isOutrun:
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
        case .approves, .differs:
            if person == .differs { try await approveAnother(call, hash, run, tenant) }
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

    // MARK: On record

    /// Every decision that settles something has its row, and there is no other; the arguments are in none of them.
    private func checkRows(_ run: String, _ row: GateCase, _ agent: Agent, _ stage: Stage, atCall hash: String) async throws {
        let tenant = stage.tenant
        let all = try await tenant.send("GET", "/api/audit?limit=200").data().filter { $0["details"]?["runId"]?.string == run }
        func rows(_ action: AuditAction) -> [JSONNode] { all.filter { $0["action"]?.string == action.rawValue } }
        func record(_ decision: GateCase.Decision, _ hash: String) -> GateRecord {
            GateRecord(decision, of: row, stage.kind, run, agent: (agent.agentId, agent.name), policyHash: hash)
        }
        var expected = row.atCall.map { record($0, hash) }
        if let later = row.later {
            let laterHash = try stage.policyHash()
            #expect(laterHash != hash)
            expected.append(record(later, laterHash))
        }
        let found = rows(.toolCallDecide)
        let place = "\(row.name) for \(stage.kind.rawValue)"
        // In any order: those of one step are written together.
        func tally(_ records: [GateRecord]) -> [GateRecord: Int] { records.reduce(into: [:]) { $0[$1, default: 0] += 1 } }
        #expect(tally(found.map(GateRecord.init)) == tally(expected), "\(place)")
        for decision in found { #expect(Set(decision["details"]?.members.map(\.key) ?? []) == GateRecord.fields, "\(place)") }
        let calls = try await tenant.send("GET", "/api/runs/\(run)/tool-calls").data().compactMap { $0["callId"]?.string }
        #expect(calls.count == row.times, "\(place)")
        #expect(Set(found.compactMap { $0["target"]?["id"]?.string }) == Set(calls), "\(place)")
        #expect(Set(found.compactMap { $0["target"]?["kind"]?.string }) == ["tool_call"], "\(place)")
        for action in [AuditAction.toolCallApprove, .toolCallDeny] {
            #expect(rows(action).count == row.signed.count { $0 == action }, "\(action.rawValue): \(place)")
        }
        // The run says which version of the agent it was.
        #expect(try await tenant.snapshot(run)["agentVersionId"]?.string == agent.currentVersionId, "\(place)")
    }

    private func checkCounts(_ run: String, _ row: GateCase, _ stage: Stage, since before: DecisionCounts, steps: Int) async throws {
        #expect(steps == 2)
        var sent = row.goOut
        if stage.kind == .device, sent > 0 {
            let attempts = try await stage.tenant.send("GET", "/api/runs/\(run)/tool-calls").data().compactMap { $0["attempts"]?.int }
            sent = max(sent, attempts.reduce(0, +))
        }
        let expected = before + row.counts(stage.kind, steps: steps, sent: sent)
        // What is denied is written first and counted then.
        let isCounted = await eventually(within: 10) { stage.counts == expected }
        #expect(isCounted, "\(row.name) for \(stage.kind.rawValue): \(stage.counts.counts) instead of \(expected.counts)")
    }
}
