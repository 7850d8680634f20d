import Domain
import HsafaClient
import JSON
import Postgres
import Runtime
import TestSupport
import Testing

/// An approval counts until it expires, whether somebody has written the expiry down by then or not.
@Suite(.timeLimit(.minutes(3)))
struct ApprovalExpiryTests {
    private static let asks = """
        version: 1
        rules:
          - id: person
            effect: require_approval
            approval: { expiresSeconds: 1 }
        """

    /// A call whose approval has expired by Postgres' clock, in a gateway that does not sweep.
    private func expired() async throws -> (PolicyGateway, TestTenant, run: String, call: String) {
        let policies = try await PolicyGateway.running { $0.intervals.deadlineSweep = .seconds(3600) }
        try policies.set(Self.asks)
        let tenant = try await TestTenant.make(on: policies.gateway)
        let run = try await tenant.run("asker", steps: [Config.calls("ask"), Config.says], tools: [Config.browser("ask")])
        let call = try await tenant.approval(of: run).call
        let isOver = try await eventually(within: 60) {
            try await policies.gateway.environment.app.query(
                "SELECT expires_at <= clock_timestamp() FROM hsafa.approvals WHERE tenant_id = \(tenant.scope.tenantID)",
                scope: tenant.scope.tenantID.description
            ).first?.decode(0, as: Bool.self) == true
        }
        try #require(isOver)
        #expect(try await tenant.send("GET", "/api/approvals?status=pending").data().count == 1, "no sweep has come")
        return (policies, tenant, run, call)
    }

    @Test(arguments: ["approve", "deny"])
    func `who decides after the expiry and before the sweep is told that it has expired`(decision: String) async throws {
        let (_, tenant, run, call) = try await expired()
        let late = try await tenant.decide(decision, run, call)
        try late.expectProblem(409, "approval_already_decided")
        #expect(late.text.contains("expired"))
        let events = try await tenant.events(run)
        #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "approval_expired")
        #expect(!events.contains { $0.type == "tool.call.approved" })
        #expect(events.last?.type == "run.completed")
        #expect(try await tenant.client.approvals.list().items.map(\.status) == ["expired"])
        let actions = try await tenant.send("GET", "/api/audit").data().compactMap { $0["action"]?.string }
        #expect(!actions.contains { $0 == "tool_call.approve" || $0 == "tool_call.deny" })
    }

    @Test func `of many who are late at once each is told, and the call is denied once`() async throws {
        let (_, tenant, run, call) = try await expired()
        let answers = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<8 {
                group.addTask { try await tenant.decide(index.isMultiple(of: 2) ? "approve" : "deny", run, call).status }
            }
            return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == [409: 8])
        #expect(try await tenant.events(run).filter { $0.type == "tool.call.denied" }.count == 1)
    }

    @Test func `policy that denies by now does not hide that the approval has expired`() async throws {
        let (policies, tenant, run, call) = try await expired()
        try policies.set("version: 1\nrules:\n  - id: never\n    effect: deny\n")
        try await tenant.decide("approve", run, call).expectProblem(409, "approval_already_decided")
        #expect(try await tenant.events(run).first { $0.type == "tool.call.denied" }?["reason"] == "approval_expired")
    }
}
