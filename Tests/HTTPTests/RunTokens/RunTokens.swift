import Domain
import HsafaClient
import JSON
import Postgres
import TestSupport
import Testing

/// A run token, as the answer that shows it gives it.
struct TestRunToken: Sendable {
    let id: String
    let text: String
}

extension TestTenant {
    /// - Parameters:
    ///   - key: who makes it; nil: the tenant's own key.
    ///   - more: further fields of the body, each with a comma before it.
    func runToken(_ run: String, _ grants: [String] = [], key: String? = nil, more: String = "") async throws -> TestRunToken {
        let list = grants.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try await gateway.client(key: key ?? self.key).send(
            "POST", "/api/runs/\(run)/tokens", #"{"grants":[\#(list)]\#(more)}"#)
        try #require(answer.status == 201, "\(answer.text)")
        let text = try answer.string("token")
        SuiteLog.noteSecret(String(text.suffix(49)))
        return TestRunToken(id: try answer.string("tokenId"), text: text)
    }

    /// A run that waits for its page.
    func askingRun(_ name: String = "asker") async throws -> (run: String, call: String) {
        let run = try await run(name, steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        return (run, try #require(try await pendingCalls(run).first?["callId"]?.string))
    }

    /// The same with a call that waits for a person.
    func heldRun() async throws -> (run: String, call: String) {
        let policy = #"{"version":1,"rules":[{"id":"ask","effect":"require_approval","tools":["ask"],"targets":["browser"]}]}"#
        let written = try await send("PUT", "/api/policies/asks-first", policy)
        try #require([200, 201].contains(written.status), "\(written.text)")
        let run = try await run("held", steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        return (run, try await approval(of: run).call)
    }

    /// Whoever shows `token` in a header.
    func page(_ token: TestRunToken, on other: TestGateway? = nil) -> HsafaClient { (other ?? gateway).client(key: token.text) }

    func age(_ run: String, endedSeconds: Int) async throws {
        _ = try await gateway.environment.owner.query(
            """
            UPDATE hsafa.runs SET finished_at = now() - make_interval(secs => \(endedSeconds))
            WHERE tenant_id = \(scope.tenantID) AND run_id = \(RunID(run)) AND finished_at IS NOT NULL
            """, scope: scope.tenantID.description, lane: .alone)
    }
}
