import Cryptography
import Domain
import Foundation
import HsafaClient
import JSON
import Synchronization
import TestServers
import TestSupport
import Testing

/// One run whose tools are on the server, on a device, in a page and in another system, and which asks an MCP server and another agent:
/// what `docs/A-RUN-OVER-ALL-TARGETS.md` shows.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct AllTargetsTests {
    private static let document = TestEnvironment.repository + "/docs/A-RUN-OVER-ALL-TARGETS.md"

    @Test func `one run uses all four targets, an MCP server and another agent, and its log tells all of it`() async throws {
        let environment = try await TestEnvironment.fresh()
        let tenant = try await environment.makeTenant()
        let key = try await environment.makeKey(tenant)
        let weather = try await MCPServerProcess.shared(.two, .http)
        let shop = try await ToolServer { request in
            request.uri == "/pay-out" ? .init(202) : .json(#"{"order":"A-1001","item":"vase","price":19.5,"quantity":2}"#)
        }
        let gateway = try GatewayProcess(environment, settings: ["EGRESS_ALLOW": "127.0.0.1"])
        try await gateway.start()
        try await gateway.withClient(key: key) { client in
            let device = try await RefundDevice.connect(client, gateway)
            defer { device.connection.cancel() }
            let secret = try await publish(client, shop: "http://127.0.0.1:\(shop.port)", weather: weather.url)
            let run = try await client.runs.create(agent: .name("returns-clerk"), messages: [.user("My vase came broken: order A-1001.")])
            let token = try await client.runTokens.create(run.runId, grants: ["tools", "approvals"])
            SuiteLog.noteSecret(String(token.text.suffix(49)))
            let watched = try await gateway.withClient(key: token.text) { page in
                let world = RefundWorld(
                    page: page, client: client, environment: environment, tenant: tenant.tenantID, gateway: gateway, shop: shop,
                    secret: secret)
                return try await watch(run.runId, world)
            }
            let stored = try await client.runs.events(run.runId, after: 0, limit: 1000).items
            #expect(stored.map(\.raw) == watched.map(\.raw), "what the page saw is what is stored, to the byte")
            #expect(device.calls.withLock { $0 } == ["fs.read"])
            let child = try #require(try await client.runs.list(parentRunId: run.runId).items.first)
            let childEvents = try await client.runs.events(child.runId, after: 0, limit: 1000).items
            try await checkDecisions(run.runId, stored, client)
            try checkDocument(RunListing(stored), RunListing(childEvents))
        }
        await shop.close()
        #expect(gateway.terminate() == 0)
    }

    /// The signing secret, both agents, and the tenant's own policy: a person is asked before money leaves.
    private func publish(_ client: HsafaClient, shop: String, weather: String) async throws -> String {
        let secret = try await client.rotateWebhookSecret().secret
        SuiteLog.noteSecret(String(secret.dropFirst(6)))
        _ = try await client.policies.put(
            "money", RawJSON(#"{"version":1,"rules":[{"id":"a-person-pays","tools":["payOut"],"effect":"require_approval"}]}"#))
        _ = try await client.agents.create(name: "letter-writer", config: RefundAgents.writer)
        _ = try await client.agents.create(
            name: "returns-clerk", config: RefundAgents.clerk(.init(shop: shop, weather: weather)))
        return secret
    }

    /// A page that watches with a run token, does its part, and sees the gateway die under it while the run waits for its answer.
    private func watch(_ run: String, _ world: RefundWorld) async throws -> [HsafaClient.Event] {
        var events: [HsafaClient.Event] = []
        let resumedAfter = Mutex<[Int]>([])
        let stream = world.page.runs.stream(run) { notice in
            if case .connected(let seq?) = notice { resumedAfter.withLock { $0.append(seq) } }
        }
        var kills = 0
        for try await event in stream {
            events.append(event)
            kills += try await world.take(event, after: events) ? 1 : 0
        }
        #expect(kills == 1)
        let cut = try #require(resumedAfter.withLock { $0 }.first, "the stream was cut and taken up again")
        #expect(cut > 1 && cut < events.count - 1, "in the middle")
        #expect(events.map(\.seq) == Array(1...events.count), "each seq once, in order, over the cut")
        #expect(events.last?.type == "run.completed")
        return events
    }

    /// Each call was decided before it went out, by a rule, and that is on record.
    private func checkDecisions(_ run: String, _ events: [HsafaClient.Event], _ client: HsafaClient) async throws {
        let rows = try await client.audit(AuditQuery(action: "tool_call.decide"), limit: 200).items.map { try $0.json.document().root }
            .filter { $0["details"]?["runId"]?.string == run }
        let requested = try events.map { ($0.type, try $0.data.document().root) }.filter { $0.0 == "tool.call.requested" }.map(\.1)
        #expect(requested.count == 9)
        for call in requested {
            let tool = try #require(call["tool"]?.string)
            let decided = rows.filter { $0["target"]?["id"]?.string == call["callId"]?.string }
            #expect(!decided.isEmpty, "\(tool)")
            for row in decided {
                #expect(row["details"]?["tool"]?.string == tool && row["details"]?["target"]?.string == call["target"]?.string)
                #expect(row["details"]?["policyHash"]?.string?.hasPrefix("sha256:") == true, "\(tool)")
                #expect(row["details"]?["argumentsHash"]?.string?.hasPrefix("sha256:") == true, "\(tool)")
                #expect((row["details"]?["rules"]?.count ?? 0) > 0, "\(tool)")
            }
            let decisions = Set(decided.compactMap { $0["details"]?["decision"]?.string })
            #expect(decisions == (tool == "payOut" ? ["require_approval"] : ["allow"]), "\(tool)")
        }
    }

    /// The document is kept true: types, targets, tools and their order. `WRITE_DOCUMENTS=1` writes it anew.
    private func checkDocument(_ run: RunListing, _ child: RunListing) throws {
        var document = try String(contentsOfFile: Self.document, encoding: .utf8)
        if ProcessInfo.processInfo.environment["WRITE_DOCUMENTS"] != nil {
            try RunListing.replace("the run", of: &document, with: run.text)
            try RunListing.replace("the run of writeLetter", of: &document, with: child.text)
            try Data(document.utf8).write(to: URL(filePath: Self.document))
        }
        let hint: Comment = "the run is another than the document shows: WRITE_DOCUMENTS=1 FILTER=AllTargets scripts/test.sh, and read it"
        #expect(try run.stable == RunListing.stable(in: document, of: "the run"), hint)
        #expect(try child.stable == RunListing.stable(in: document, of: "the run of writeLetter"), hint)
    }
}
