import Domain
import HTTPTypes
import HsafaClient
import JSON
import Logging
import NIOHTTP1
import Runtime
import TestSupport
import Testing

@testable import GatewayHTTP

/// What a run token does not open, driven by the route table; who guesses tokens; where they must not show; and who may read answers.
@Suite(.timeLimit(.minutes(5)))
struct RunTokenWallTests {
    private static let bodies: [String: String] = [
        "submitToolResult": #"{"callId":"\#(unknownID())","result":1}"#, "createRun": #"{"agentName":"x","initialMessages":[]}"#,
    ]

    private func send(_ client: HsafaClient, _ route: Route, _ path: String) async throws -> Answer {
        try await client.send("\(route.method)", path, Self.bodies[route.operationID], headers: [("X-Request-Id", "same")])
    }

    @Test func `a run token opens its run's page operations and nothing else of the whole API`() async throws {
        let tenant = try await TestTenant.make()
        let things = try await TenantThings.make(tenant)
        let before = try await tenant.gateway.environment.fingerprint(of: tenant)
        let token = TestRunToken(id: things["tokenId"], text: things["runToken"])
        // Its call waits for a person, as that of the first run does: the things' policy says so.
        let other = try await tenant.run("other", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        let call = try await tenant.approval(of: other).call
        let stranger = try await TestTenant.make()
        let theirs = try await TenantThings.make(stranger)
        let client = tenant.page(token)
        var opened: Set<String> = []
        for route in RouteTable.all where route.requirement != .nothing {
            let what = Comment(rawValue: route.operationID)
            let own = try #require(TenantThings.path(route.path) { things.ids[$0] })
            if route.runToken != nil {
                opened.insert(route.operationID)
                // Another run of the tenant, of another tenant, and none: the same answer, whatever the path names beside it.
                let paths = [
                    try #require(TenantThings.path(route.path) { $0 == "runId" ? other : $0 == "callId" ? call : things.ids[$0] }),
                    try #require(TenantThings.path(route.path) { theirs.ids[$0] }),
                    try #require(TenantThings.path(route.path) { _ in unknownID() }),
                    try #require(TenantThings.path(route.path) { _ in "no-id" }),
                ]
                let answers = try await paths.asyncMap { try await send(client, route, $0) }
                for answer in answers { try answer.expectProblem(404, "run_not_found") }
                #expect(Set(answers.map(\.text)).count == 1, what)
            } else {
                try await send(client, route, own).expectProblem(401, "unauthorized")
            }
            // In the query it is good for the stream alone.
            guard route.operationID != "streamRun" else { continue }
            let inQuery = try await send(tenant.gateway.client(key: nil), route, "\(own)?token=\(token.text)")
            try inQuery.expectProblem(401, "unauthorized")
        }
        #expect(opened == ["getRun", "streamRun", "submitToolResult", "approveCall", "denyCall"])
        var after = try await tenant.gateway.environment.fingerprint(of: tenant)
        // The other run of this test.
        for table in [
            "runs", "run_events", "tool_calls", "agents", "agent_versions", "approvals", "audit_log", "usage_daily", "idempotency_keys",
        ] {
            after[table] = before[table]
        }
        #expect(after == before)
        #expect(try await tenant.snapshot(other)["status"]?.string == "waiting_tool")
        #expect(try await tenant.send("GET", "/api/approvals?status=pending").data().count == 2)
        // And what it opens it does open.
        var stream = try await EventStream.open(client, things["runId"])
        #expect(stream.status == 200)
        #expect(try await stream.receive())
        #expect(
            try await send(
                client, try #require(RouteTable.all.first { $0.operationID == "submitToolResult" }),
                "/api/runs/\(things["runId"])/tool-results"
            ).json()["code"]?.string == "tool_call_not_found")
    }

    @Test func `another tenant's key neither makes, lists nor revokes tokens of a run, and no run takes another's token`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await tenant.askingRun()
        let token = try await tenant.runToken(run)
        let (second, _) = try await tenant.askingRun("second")
        let stranger = try await TestTenant.make()
        try await stranger.send("POST", "/api/runs/\(run)/tokens").expectProblem(404, "run_not_found")
        try await stranger.send("GET", "/api/runs/\(run)/tokens").expectProblem(404, "run_not_found")
        try await stranger.send("DELETE", "/api/runs/\(run)/tokens/\(token.id)").expectProblem(404, "run_not_found")
        try await tenant.send("DELETE", "/api/runs/\(second)/tokens/\(token.id)").expectProblem(404, "run_token_not_found")
        #expect(try await tenant.send("GET", "/api/runs/\(second)/tokens").data().isEmpty)
        let open = try await EventStream.open(tenant.page(token), run)
        #expect(open.status == 200)
    }

    // MARK: Guessing

    @Test func `guesses are limited by address, garbage costs nothing, and a token that is known goes on working`() async throws {
        let gateway = try await TestGateway.running(in: .fresh()) { $0.failuresPerAddressPerSecond = 1e-9 }
        let tenant = try await TestTenant.make(on: gateway)
        let (run, _) = try await tenant.askingRun()
        let (known, cold) = (try await tenant.runToken(run), try await tenant.runToken(run))
        func watch(_ token: String) async throws -> Int {
            try await EventStream.open(gateway.client(key: token), run).status
        }
        #expect(try await watch(known.text) == 200)
        let looked = gateway.metric("hsafa_run_token_lookups_total")
        for garbage in ["hrt_", "hrt_nonsense", String(known.text.dropLast()), known.text + "0", known.text.uppercased()] {
            for _ in 0..<Limits.failuresPerAddress { #expect(try await watch(garbage) == 401) }
        }
        #expect(gateway.metric("hsafa_run_token_lookups_total") == looked, "what has no check sum is not looked for")
        let forged = AuthenticationTests.wrongSecret(known.text)
        for index in 0..<Limits.failuresPerAddress {
            let guess = index.isMultiple(of: 4) ? forged : CredentialToken.generate(.runToken).text
            try await gateway.client(key: guess).send("GET", "/api/runs/\(run)/stream").expectProblem(401, "unauthorized")
        }
        let before = gateway.metric("hsafa_run_token_lookups_total")
        for held in [forged, cold.text, CredentialToken.generate(.runToken).text] {
            try await gateway.client(key: held).send("GET", "/api/runs/\(run)/stream").expectProblem(429, "too_many_failures")
            try await gateway.client(key: nil).send("GET", "/api/runs/\(run)/stream?token=\(held)").expectProblem(429, "too_many_failures")
        }
        #expect(gateway.metric("hsafa_run_token_lookups_total") == before)
        #expect(try await watch(known.text) == 200)
        // Keys have a count of their own.
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
    }

    // MARK: Logs

    @Test func `a token is in no line of the log, wherever it was shown`() async throws {
        let log = RecordedLog()
        let gateway = try await TestGateway.running(in: try await .fresh(), logger: log.makeLogger(.trace))
        let tenant = try await TestTenant.make(on: gateway)
        let (run, call) = try await tenant.askingRun()
        let token = try await tenant.runToken(run, ["tools"])
        let nobody = gateway.client(key: nil)
        var stream = try await EventStream.open(nobody, run, "?token=\(token.text)")
        #expect(try await stream.receive())
        for path in [
            "/api/runs/\(run)/stream?token=\(token.text)&since=x", "/api/agents?token=\(token.text)", "/\(token.text)",
            "/api/runs/\(token.text)/stream?token=\(token.text)",
        ] {
            #expect(try await nobody.send("GET", path, headers: [("X-Request-Id", token.text), ("traceparent", token.text)]).status >= 400)
        }
        #expect(
            try await tenant.page(token).send(
                "POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":1}"#
            ).status == 200)
        while try await stream.receive() {}
        #expect(await eventually { log.lines("request").contains { $0.metadata["stream"] == "whole" } })
        let secret = String(token.text.suffix(49))
        let said = log.lines.filter { line in
            ([line.message] + line.metadata.values).contains { $0.contains(secret) || $0.contains("token=") }
        }
        #expect(said.isEmpty, "\(said.map(\.message))")
        #expect(log.lines("request").contains { $0.metadata["route"] == "/api/runs/{runId}/stream" && $0.metadata["tenant"] != nil })
    }

    // MARK: Pages of other origins

    @Test(arguments: ["https://page.example", "null"])
    func `pages of any origin may use what takes run tokens, without credentials, and nothing else`(origin: String) async throws {
        let tenant = try await TestTenant.make()
        let things = try await TenantThings.make(tenant)
        for route in RouteTable.all where route.method != .get || route.requirement != .nothing {
            let path = try #require(TenantThings.path(route.path) { things.ids[$0] })
            let asked = [
                ("Origin", origin), ("Access-Control-Request-Method", "\(route.method)"),
                ("Access-Control-Request-Headers", "authorization,content-type"),
            ]
            let preflight = try await tenant.gateway.client(key: nil).send("OPTIONS", path, headers: asked)
            let answer = try await tenant.gateway.client(key: nil).send("\(route.method)", path, headers: [("Origin", origin)])
            guard route.runToken != nil else {
                #expect(preflight.status == 405, "\(route.operationID)")
                for seen in [preflight, answer] {
                    #expect(!seen.headers.contains { $0.name.lowercased().hasPrefix("access-control-") }, "\(route.operationID)")
                }
                continue
            }
            #expect(preflight.status == 204, "\(route.operationID)")
            #expect(preflight.header("Access-Control-Allow-Methods")?.contains("\(route.method)") == true)
            #expect(preflight.header("Access-Control-Allow-Headers")?.contains("Authorization") == true)
            // A failure can be read, too.
            try answer.expectProblem(401, "unauthorized")
            for seen in [preflight, answer] {
                #expect(seen.headers["Access-Control-Allow-Origin"] == ["*"], "\(route.operationID)")
                #expect(seen.header("Access-Control-Allow-Credentials") == nil && seen.header("Vary") == nil)
            }
        }
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }
}
