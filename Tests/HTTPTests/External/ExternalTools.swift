import Domain
import HsafaClient
import JSON
import Postgres
import TestServers
import TestSupport
import Testing

/// Configs and tenants of tests about external tools.
enum External {
    static func tool(_ url: String, headers: String = "{}", timeoutSeconds: Int = 240) -> String {
        #"{"name":"charge","target":"external","timeoutSeconds":\#(timeoutSeconds),"execution":{"url":"\#(url)","headers":\#(headers)}}"#
    }

    static let call = #"{"toolCalls":[{"name":"charge","arguments":{"amount":42}}]}"#

    /// A tenant with a signing secret.
    static func tenant(on gateway: TestGateway? = nil) async throws -> (TestTenant, WebhookSecret) {
        let tenant = try await TestTenant.make(on: gateway)
        return (tenant, try await rotate(tenant))
    }

    static func rotate(_ tenant: TestTenant, overlapSeconds: Int? = nil) async throws -> WebhookSecret {
        let issued = try await tenant.client.rotateWebhookSecret(overlapSeconds: overlapSeconds)
        SuiteLog.noteSecret(String(issued.secret.dropFirst(6)))
        return try #require(WebhookSecret(issued.secret))
    }

    /// What the call of a run that completes came to.
    static func outcome(_ tenant: TestTenant, _ run: String) async throws -> JSONNode {
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        return try #require(try events.last { $0.type == "tool.result.received" }?.json())
    }
}

/// A call as it was posted.
struct PostedCall {
    let request: ToolServer.Received
    let body: JSONNode

    init(_ request: ToolServer.Received) throws {
        self.request = request
        body = try JSONDocument(parsing: request.body).root
        SuiteLog.noteSecret(String((body["resultToken"]?.string ?? "hxt_none").dropFirst(4)))
    }

    var run: String { body["runId"]?.string ?? "" }
    var call: String { body["callId"]?.string ?? "" }
    var token: String { body["resultToken"]?.string ?? "" }
}

extension ToolServer {
    /// The posted calls, once there are so many.
    func calls(_ count: Int = 1) async throws -> [PostedCall] {
        #expect(await eventually(within: 120) { self.received.count >= count })
        return try received.map(PostedCall.init)
    }
}

extension TestTenant {
    /// As the tool's system answers later, which has no key.
    func later(_ call: String, _ token: String?, _ body: String = #"{"result":{"later":1}}"#) async throws -> Answer {
        try await gateway.client(key: nil).send(
            "POST", "/api/tool-results/\(call)", body, headers: token.map { [("Authorization", "Bearer \($0)")] } ?? [])
    }

    /// The rows of what is due for this tenant's calls.
    func scheduled() async throws -> Int {
        try await gateway.environment.owner.query(
            "SELECT count(*) FROM hsafa.scheduled_calls WHERE tenant_id = \(scope.tenantID)", scope: scope.tenantID.description,
            lane: .alone
        ).first?.decode(0, as: Int.self) ?? -1
    }

    /// As if the time had come.
    func makeDue() async throws {
        _ = try await gateway.environment.owner.query(
            "UPDATE hsafa.scheduled_calls SET due_at = now() - interval '1 second' WHERE tenant_id = \(scope.tenantID)",
            scope: scope.tenantID.description, lane: .alone)
    }
}
