import Cryptography
import Domain
import Foundation
import HsafaClient
import JSON
import Postgres
import Synchronization
import TestServers
import TestSupport
import Testing

/// The warehouse's device: enrolled with a token, connected with its own key.
struct RefundDevice {
    let connection: Task<Void, any Error>
    /// The tools that it was asked for.
    let calls: Log

    final class Log: Sendable {
        private let tools = Mutex<[String]>([])
        func withLock<R: Sendable>(_ body: (inout [String]) -> R) -> R { tools.withLock { body(&$0) } }
    }

    static func connect(_ client: HsafaClient, _ gateway: GatewayProcess) async throws -> RefundDevice {
        let token = try await client.enrollmentTokens.create(labels: [("zone", "warehouse")], autoApprove: true)
        let key = try DeviceKey()
        SuiteLog.noteSecret(Base64URL.encode(key.privateKey.rawRepresentation))
        let enrolled = try await client.devices.enroll(
            token: try EnrollmentToken(token.token), audience: token.audience, key: key, deviceKey: "warehouse-1")
        var options = try DeviceConnection.Options().heldToContract()
        options.backOff = BackOff(initialMilliseconds: 50, maximumMilliseconds: 500)
        let calls = Log()
        let device = DeviceConnection(
            gatewayURL: gateway.url, identity: .init(deviceId: enrolled.deviceId, key: key, audience: enrolled.audience),
            tools: [DeviceTool(name: "fs.read", inputSchema: RawJSON(#"{"type":"object"}"#))], outcomes: try OutcomeStore(),
            options: options
        ) { call in
            calls.withLock { $0.append(call.name) }
            return .result(RawJSON(#"{"content":"Vase, cracked through. Smells of winter."}"#))
        }
        let connection = Task { try await device.run() }
        // Connected before the run begins, so that its log is the same each time: a call for a device that is away waits for it.
        let isOnline = try await eventually {
            let shown = try await client.devices.get(enrolled.deviceId).json.document().root
            return shown["online"]?.bool == true
        }
        try #require(isOnline)
        return RefundDevice(connection: connection, calls: calls)
    }
}

/// Everyone whom the run waits for: the customer at the page, the person who approves there, the system that pays out, and time.
///
/// Each acts when the log says that the run waits for it, and not before: so the log is the same on machines of every speed.
struct RefundWorld {
    /// Holds a run token, and no key.
    let page: HsafaClient
    let client: HsafaClient
    let environment: TestEnvironment
    let tenant: TenantID
    let gateway: GatewayProcess
    let shop: ToolServer
    let secret: String

    /// Does what the newest of `events` asks for. True: the gateway was killed and started again meanwhile.
    func take(_ event: HsafaClient.Event, after events: [HsafaClient.Event]) async throws -> Bool {
        let data = try event.data.document().root
        let newest = try events.last { $0.type == "tool.call.requested" }?.data.document().root
        let call = newest?["callId"]?.string ?? ""
        switch (event.type, newest?["tool"]?.string) {
        case ("run.status", "askCustomer") where data["status"]?.string == "waiting_tool":
            gateway.kill9()
            try await gateway.start()
            let answer = ToolOutcome.result(RawJSON(#"{"choice":"refund"}"#))
            #expect(try await page.runs.submitToolResult(event.runId, callId: call, outcome: answer))
            return true
        case ("tool.call.approval_required", "payOut"):
            #expect(shop.received.allSatisfy { $0.uri != "/pay-out" }, "nothing leaves before a person said so")
            #expect(try await page.approvals.approve(event.runId, call, callHash: data["callHash"]?.string).status == "approved")
        case ("tool.call.dispatched", "payOut"): try await payOut(call: call)
        case ("run.status", "settle") where data["status"]?.string == "waiting_tool": try await letAnHourPass()
        case ("run.status", "writeLetter") where data["status"]?.string == "waiting_tool":
            let started = try events.last { $0.type == "tool.call.dispatched" }?.data.document().root
            try await sign(try #require(started?["childRunId"]?.string))
        default: break
        }
        return false
    }

    private func letAnHourPass() async throws {
        _ = try await environment.owner.query(
            "UPDATE hsafa.scheduled_calls SET due_at = now() - interval '1 second' WHERE tenant_id = \(tenant)",
            scope: tenant.description, lane: .alone)
    }

    /// A page follows the run that the call started, with a token of that run.
    private func sign(_ run: String) async throws {
        let token = try await client.runTokens.create(run, grants: ["tools"])
        SuiteLog.noteSecret(String(token.text.suffix(49)))
        try await gateway.withClient(key: token.text) { page in
            var call: String?
            for try await event in page.runs.stream(run) {
                let data = try event.data.document().root
                if event.type == "tool.call.requested" { call = data["callId"]?.string }
                guard event.type == "run.status", data["status"]?.string == "waiting_tool", let call else { continue }
                let answer = ToolOutcome.result(RawJSON(#""Signed: Ada""#))
                #expect(try await page.runs.submitToolResult(run, callId: call, outcome: answer))
            }
        }
    }

    /// The system had taken its call with 202: it has verified it, and answers with the token that came with it.
    private func payOut(call: String) async throws {
        let posted = shop.received.filter { $0.uri == "/pay-out" }
        let request = try #require(posted.last)
        #expect(posted.count == 1 && request.header("webhook-id") == call)
        #expect(try ReferenceWebhooks.accepts(request, secret: secret))
        #expect(try !ReferenceWebhooks.accepts(request, body: request.text + " ", secret: secret), "nor anything but what was signed")
        let body = try JSONDocument(parsing: request.body).root
        #expect(body["args"]?.rawJSON.string == #"{"amount":35.1}"#)
        let url = try #require(body["resultUrl"]?.string.flatMap { URL(string: $0) })
        let token = try #require(body["resultToken"]?.string)
        SuiteLog.noteSecret(String(token.dropFirst(4)))
        let answered = try await gateway.withClient(key: token) { system in
            try await system.raw("POST", url.path(), body: Array(#"{"result":{"receipt":"R-77"}}"#.utf8))
        }
        #expect(answered.status == 200)
        #expect(try JSONDocument(parsing: answered.body).root["applied"]?.bool == true)
    }
}
