import Domain
import FoundationEssentials
import HsafaClient
import JSON
import Postgres
import Synchronization
import TestServers
import TestSupport
import Testing

/// External tools with a URL: signed calls, answers, attempts until one succeeds.
@Suite(.timeLimit(.minutes(5)))
struct ExternalTests {
    @Test func `a call is posted, signed, and its answer is the result`() async throws {
        let server = try await ToolServer { _ in .json(#"{ "charged": true }"#) }
        let (tenant, secret) = try await External.tenant()
        let run = try await tenant.run(
            steps: [External.call, Config.tellsResult], tools: [External.tool("http://127.0.0.1:\(server.port)/charge")])
        let outcome = try await External.outcome(tenant, run)
        #expect(outcome["result"]?.rawJSON.string == #"{"charged":true}"# && outcome["source"]?.string == "external")
        let posted = try #require(try await server.calls().first)
        let (request, body) = (posted.request, posted.body)
        #expect(server.received.count == 1 && request.method == "POST" && request.uri == "/charge")
        #expect(request.header("content-type") == "application/json" && request.header("authorization") == nil)
        #expect(posted.run == run && body["tool"]?.string == "charge" && body["agent"]?.string == "tester")
        #expect(body["args"]?.rawJSON.string == #"{"amount":42}"#)
        #expect(body["resultUrl"]?.string == "\(TestGateway.audience)/api/tool-results/\(posted.call)")
        #expect(body["deadline"]?.string.flatMap { Timestamp(rfc3339: $0) } != nil)
        let id = try #require(request.header("webhook-id"))
        #expect(id == posted.call && id == outcome["callId"]?.string)
        let timestamp = try #require(request.header("webhook-timestamp").flatMap { Int64($0) })
        #expect(request.header("webhook-signature") == secret.signature(id: id, timestamp: timestamp, body: request.body))
        #expect(try ReferenceWebhooks.accepts(request, secret: secret.text))
        #expect(try !ReferenceWebhooks.accepts(request, body: request.text + " ", secret: secret.text), "an altered body must not verify")
        #expect(try !ReferenceWebhooks.accepts(request, secret: WebhookSecret().text), "nor under another key")
        let requested = try await tenant.events(run).first { $0.type == "tool.call.requested" }
        #expect(requested?["delivery"] == "webhook")
        #expect(try await tenant.scheduled() == 0, "the row went with the outcome")
        await server.close()
    }

    @Test func `errors, texts and nothing are answers too, and what would come again is final`() async throws {
        let server = try await ToolServer { request in
            switch request.uri {
            case "/error": .json(#"{"error":{"code":"declined","message":"No money."}}"#)
            case "/text": .init(200, "done")
            case "/gone": .init(410)
            case "/bad": .json(#"{"why":"amount"}"#, status: 422)
            default: .init(204)
            }
        }
        let (tenant, _) = try await External.tenant()
        let cases = [
            ("error", #""code":"declined""#), ("text", #""result":"done""#), ("gone", "external_gone"), ("none", #""result":null"#),
            ("bad", "http_422"),
        ]
        for (path, expected) in cases {
            let run = try await tenant.run(
                path, steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/\(path)")])
            #expect(try await External.outcome(tenant, run).rawJSON.string.contains(expected), "\(path)")
        }
        #expect(server.received.count == cases.count, "none was asked twice")
        await server.close()
    }

    @Test func `a call is tried again until it succeeds, under one id, and until its deadline`() async throws {
        let count = Mutex(0)
        let server = try await ToolServer { _ in
            switch count.withLock({
                $0 += 1
                return $0
            }) {
            case 1: .init(500, "not now")
            case 2: .init(429, headers: [("retry-after", "0")])
            default: .json("7")
            }
        }
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        #expect(try await External.outcome(tenant, run)["result"]?.rawJSON.string == "7")
        #expect(server.received.count == 3 && Set(server.received.map { $0.header("webhook-id") }).count == 1)
        let down = try await tenant.run(
            "down", steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:1/", timeoutSeconds: 1)])
        let events = try await tenant.events(down)
        #expect(events.last?.type == "run.completed" && events.contains { $0.type == "tool.call.expired" })
        #expect(try await tenant.scheduled() == 0)
        await server.close()
    }

    @Test func `a tenant sees why its call was not delivered, and when it is tried again, without secrets`() async throws {
        let value = "ext-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        let server = try await ToolServer { request in .init(503, request.header("x-key") ?? "", headers: [("retry-after", "3000")]) }
        let (tenant, _) = try await External.tenant()
        _ = try await tenant.client.secrets.set("EXT", value: value, hosts: ["127.0.0.1"])
        let run = try await tenant.run(
            steps: [External.call, Config.says],
            tools: [External.tool("http://127.0.0.1:\(server.port)/", headers: #"{"X-Key":"${secret.EXT}"}"#, timeoutSeconds: 3600)])
        func call() async throws -> JSONNode? { try await tenant.send("GET", "/api/runs/\(run)/tool-calls").data().first }
        #expect(try await eventually { try await call()?["delivery"] != nil })
        let delivery = try #require(try await call()?["delivery"])
        #expect(delivery["attempts"]?.int == 1 && delivery["lastError"]?.string == "The tool's system answered 503.")
        let next = try #require(delivery["nextAttemptAt"]?.string.flatMap { Timestamp(rfc3339: $0) })
        #expect(next > Timestamp.now().adding(seconds: 600))
        #expect(try await tenant.pendingCalls(run).first?["delivery"]?["attempts"]?.int == 1)
        // A page watches the run, and the tenant's own systems are none of its business.
        let page = tenant.page(try await tenant.runToken(run, ["tools", "approvals"]))
        let shown = try await page.send("GET", "/api/runs/\(run)").json()
        let pending = try #require(shown["pendingCalls"]?[0])
        #expect(pending["callId"]?.string == (try await call()?["callId"]?.string) && pending["delivery"] == nil)
        #expect(!shown.rawJSON.string.contains("lastError") && !shown.rawJSON.string.contains("503"))
        try await page.send("GET", "/api/runs/\(run)/tool-calls").expectProblem(401, "unauthorized")
        let answer = try await tenant.later(
            try #require(try await call()?["callId"]?.string), try #require(try await server.calls().first?.token))
        #expect(try answer.json()["applied"]?.bool == true)
        let ended = try #require(try await call())
        #expect(ended["status"]?.string == "completed" && ended["delivery"]?["lastError"] != nil, "what was wrong can still be seen")
        #expect(ended["delivery"]?["nextAttemptAt"] == nil && !ended.rawJSON.string.contains(value))
        await server.close()
    }

    @Test func `what kept a call from its system is told in a sentence, until its deadline and after`() async throws {
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(
            steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:1/", timeoutSeconds: 3600)])
        func call() async throws -> JSONNode? { try await tenant.send("GET", "/api/runs/\(run)/tool-calls").data().first }
        #expect(try await eventually { try await call()?["delivery"] != nil })
        _ = try await tenant.gateway.environment.owner.query(
            "UPDATE hsafa.tool_calls SET deadline_at = now() - interval '1 second' WHERE tenant_id = \(tenant.scope.tenantID)",
            scope: tenant.scope.tenantID.description, lane: .alone)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed" && events.contains { $0.type == "tool.call.expired" })
        let ended = try #require(try await call())
        #expect(ended["status"]?.string == "expired")
        let error = try #require(ended["delivery"]?["lastError"]?.string)
        #expect(error.contains("127.0.0.1") && error.hasSuffix(".") && !error.contains("NIO") && !error.contains("errno"))
        #expect(ended["delivery"]?["nextAttemptAt"] == nil)
    }

    @Test func `Retry-After is heeded, whatever the back-off would be`() async throws {
        let server = try await ToolServer { request in .init(503, headers: [("retry-after", "3000")]) }
        let (tenant, _) = try await External.tenant()
        let run = try await tenant.run(
            steps: [External.call], tools: [External.tool("http://127.0.0.1:\(server.port)/", timeoutSeconds: 3600)])
        _ = try await server.calls()
        let next: @Sendable () async throws -> Int? = {
            try await tenant.gateway.environment.owner.query(
                """
                SELECT extract(epoch FROM due_at - now())::integer FROM hsafa.scheduled_calls
                WHERE tenant_id = \(tenant.scope.tenantID) AND attempts = 1
                """, scope: tenant.scope.tenantID.description, lane: .alone
            ).first?.decode(0, as: Int.self)
        }
        #expect(try await eventually(within: 60) { try await next() ?? 0 > 2000 })
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        #expect(try await tenant.scheduled() == 0, "a cancel ends the attempts")
        await server.close()
    }

    @Test func `during an overlap both keys sign, and without a key nothing is published`() async throws {
        let server = try await ToolServer { _ in .json("1") }
        let url = "http://127.0.0.1:\(server.port)/"
        let bare = try await TestTenant.make()
        let config = Config.text("tester", steps: [External.call], tools: [External.tool(url)])
        try await bare.send("POST", "/api/agents", #"{"name":"tester","config":\#(config)}"#).expectProblem(422, "secret_not_usable")
        let (tenant, old) = try await External.tenant()
        let new = try await External.rotate(tenant, overlapSeconds: 600)
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool(url)])
        _ = try await External.outcome(tenant, run)
        func signed(_ request: ToolServer.Received?, _ secrets: [WebhookSecret]) throws -> Bool {
            let request = try #require(request)
            let id = try #require(request.header("webhook-id"))
            let time = try #require(request.header("webhook-timestamp").flatMap { Int64($0) })
            return request.header("webhook-signature")
                == secrets.map { $0.signature(id: id, timestamp: time, body: request.body) }.joined(separator: " ")
        }
        #expect(try signed(server.received.first, [new, old]))
        #expect(try ReferenceWebhooks.accepts(try #require(server.received.first), secret: old.text))
        let last = try await External.rotate(tenant, overlapSeconds: 0)
        let again = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        _ = try await tenant.events(again)
        #expect(try signed(server.received.last, [last]))
        try await tenant.send("POST", "/api/webhook-secret/rotate", #"{"overlapSeconds":-1}"#).expectProblem(422, "invalid_body")
        let headers = [("Idempotency-Key", "rotate-once")]
        let first = try await tenant.send("POST", "/api/webhook-secret/rotate", "{}", headers: headers)
        SuiteLog.noteSecret(String(try first.string("secret").dropFirst(6)))
        try await tenant.send("POST", "/api/webhook-secret/rotate", "{}", headers: headers).expectProblem(409, "already_created")
        await server.close()
    }

    @Test func `a secret in a header goes along, and comes back in no event, inline, later or by a key`() async throws {
        let value = "ext-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        let server = try await ToolServer { request in
            request.uri == "/later" ? .init(202) : .json(#"{"got":"\#(request.header("x-key") ?? "")"}"#)
        }
        let (tenant, _) = try await External.tenant()
        _ = try await tenant.client.secrets.set("EXT", value: value, hosts: ["127.0.0.1:\(server.port)"])
        let headers = #"{"X-Key":"${secret.EXT}"}"#
        for (index, road) in ["now", "later", "later"].enumerated() {
            let run = try await tenant.run(
                "agent-\(index)", steps: [External.call, Config.tellsResult],
                tools: [External.tool("http://127.0.0.1:\(server.port)/\(road)", headers: headers)])
            let posted = try #require(try await server.calls(index + 1).first { $0.run == run })
            #expect(posted.request.header("x-key") == value)
            let echo = #""seen \#(value)""#
            if index == 1 { #expect(try await tenant.later(posted.call, posted.token, #"{"result":\#(echo)}"#).status == 200) }
            if index == 2 { #expect(try await tenant.answer(run, posted.call, echo).status == 200) }
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed")
            for event in events { #expect(!event.data.string.contains(value), "\(road)") }
            #expect(events.contains { $0.data.string.contains("[secret EXT]") }, "\(road)")
        }
        for bad in [#"{"Webhook-Id":"mine"}"#, #"{"Content-Type":"text/plain"}"#, #"{"X-A":"{{amount}}"}"#, #"{"Host":"x"}"#] {
            let config = Config.text("bad", steps: [Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/", headers: bad)])
            try await tenant.send("POST", "/api/agents", #"{"name":"bad","config":\#(config)}"#).expectProblem(422, "invalid_body")
        }
        await server.close()
    }
}
