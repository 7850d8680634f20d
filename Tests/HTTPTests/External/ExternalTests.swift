import Domain
import Foundation
import HsafaClient
import JSON
import Postgres
import Synchronization
import TestServers
import TestSupport
import Testing

/// External tools with a URL: signed calls, answers inline or later, attempts until one succeeds.
struct ExternalTests {
    private static func tool(_ url: String, headers: String = "{}", timeoutSeconds: Int = 120) -> String {
        #"{"name":"charge","target":"external","timeoutSeconds":\#(timeoutSeconds),"execution":{"url":"\#(url)","headers":\#(headers)}}"#
    }

    private static let call = #"{"toolCalls":[{"name":"charge","arguments":{"amount":42}}]}"#

    private static func tenant() async throws -> (TestTenant, WebhookSecret) {
        let tenant = try await TestTenant.make()
        let issued = try await tenant.client.rotateWebhookSecret()
        SuiteLog.noteSecret(String(issued.secret.dropFirst(6)))
        return (tenant, try #require(WebhookSecret(issued.secret)))
    }

    private static func outcome(_ tenant: TestTenant, _ run: String) async throws -> JSONNode {
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        return try #require(try events.last { $0.type == "tool.result.received" }?.json())
    }

    @Test func `a call is posted, signed, and its answer is the result`() async throws {
        let server = try await ToolServer { _ in .json(#"{ "charged": true }"#) }
        let (tenant, secret) = try await Self.tenant()
        let run = try await tenant.run(
            steps: [Self.call, Config.tellsResult], tools: [Self.tool("http://127.0.0.1:\(server.port)/charge")])
        let outcome = try await Self.outcome(tenant, run)
        #expect(outcome["result"]?.rawJSON.string == #"{"charged":true}"# && outcome["source"]?.string == "external")
        let request = try #require(server.received.first)
        #expect(server.received.count == 1 && request.method == "POST" && request.uri == "/charge")
        let body = try JSONDocument(parsing: request.body).root
        #expect(body["runId"]?.string == run && body["tool"]?.string == "charge" && body["agent"]?.string == "tester")
        #expect(body["args"]?.rawJSON.string == #"{"amount":42}"#)
        #expect(body["resultUrl"]?.string == "\(TestGateway.audience)/api/tool-results/\(body["callId"]?.string ?? "")")
        #expect(body["deadline"]?.string.flatMap { Timestamp(rfc3339: $0) } != nil)
        let id = try #require(request.header("webhook-id"))
        #expect(id == body["callId"]?.string && id == outcome["callId"]?.string)
        let timestamp = try #require(request.header("webhook-timestamp").flatMap { Int64($0) })
        #expect(request.header("webhook-signature") == secret.signature(id: id, timestamp: timestamp, body: request.body))
        try Self.verifyInPython(request, secret)
        await server.close()
    }

    /// The reference implementation, where scripts/test.sh has installed it.
    private static func verifyInPython(_ request: ToolServer.Received, _ secret: WebhookSecret) throws {
        guard let python = ProcessInfo.processInfo.environment["TEST_WEBHOOKS_PYTHON"], !python.isEmpty else {
            Issue.record("TEST_WEBHOOKS_PYTHON is not set: run the tests with `make test`")
            return
        }
        func verify(_ body: String) throws -> Int32 {
            let process = Process()
            process.executableURL = URL(filePath: python)
            process.arguments = [TestEnvironment.repository + "/Tests/Webhooks/verify.py"]
            let input = Pipe()
            process.standardInput = input
            process.standardError = FileHandle.nullDevice
            try process.run()
            let message = RawJSON.object { writer in
                writer.field("secret", string: secret.text)
                writer.field("body", string: body)
                writer.key("headers")
                writer.beginObject()
                for (name, value) in request.headers { writer.field(name.lowercased(), string: value) }
                writer.endObject()
            }
            try input.fileHandleForWriting.write(contentsOf: Data(message.bytes))
            try input.fileHandleForWriting.close()
            process.waitUntilExit()
            return process.terminationStatus
        }
        #expect(try verify(request.text) == 0)
        #expect(try verify(request.text + " ") == 1, "an altered body must not verify")
    }

    @Test func `errors, texts and nothing are answers too`() async throws {
        let server = try await ToolServer { request in
            switch request.uri {
            case "/error": .json(#"{"error":{"code":"declined","message":"No money."}}"#)
            case "/text": .init(200, "done")
            case "/gone": .init(410)
            default: .init(204)
            }
        }
        let (tenant, _) = try await Self.tenant()
        for (path, expected) in [
            ("error", #""code":"declined""#), ("text", #""result":"done""#), ("gone", "external_gone"), ("none", #""result":null"#),
        ] {
            let run = try await tenant.run(
                path, steps: [Self.call, Config.says], tools: [Self.tool("http://127.0.0.1:\(server.port)/\(path)")])
            #expect(try await Self.outcome(tenant, run).rawJSON.string.contains(expected), "\(path)")
        }
        await server.close()
    }

    @Test func `a call that is taken with 202 is answered later, by the holder of its token alone`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (tenant, _) = try await Self.tenant()
        let url = "http://127.0.0.1:\(server.port)/"
        let run = try await tenant.run(steps: [Self.call, Config.tellsResult], tools: [Self.tool(url)])
        let other = try await tenant.run("other", steps: [Self.call, Config.says], tools: [Self.tool(url)])
        #expect(await eventually(within: 60) { server.received.count == 2 })
        let bodies = try server.received.map { try JSONDocument(parsing: $0.body).root }
        let mine = try #require(bodies.first { $0["runId"]?.string == run })
        let theirs = try #require(bodies.first { $0["runId"]?.string == other })
        let (call, token) = (try #require(mine["callId"]?.string), try #require(mine["resultToken"]?.string))
        func answer(_ call: String, _ token: String?, _ body: String = #"{"result":{"later":1}}"#) async throws -> Answer {
            try await tenant.gateway.client(key: nil).send(
                "POST", "/api/tool-results/\(call)", body, headers: token.map { [("Authorization", "Bearer \($0)")] } ?? [])
        }
        let flipped = String(token.dropLast()) + (token.last == "A" ? "B" : "A")
        for wrong in [nil, "", "hxt_", flipped, theirs["resultToken"]?.string, tenant.key, "hxt_" + String(repeating: "A", count: 86)] {
            try await answer(call, wrong).expectProblem(401, "invalid_result_token")
        }
        for id in [unknownID(), "no-uuid", theirs["callId"]?.string ?? ""] {
            try await answer(id, token).expectProblem(401, "invalid_result_token")
        }
        try await answer(call, token, #"{"result":1,"error":"x"}"#).expectProblem(422, "invalid_body")
        try await answer(call, token, #"{"result":1,"callId":"x"}"#).expectProblem(422, "invalid_body")
        #expect(try await answer(call, token).json()["applied"]?.bool == true)
        #expect(try await answer(call, token).json()["applied"]?.bool == false)
        #expect(try await Self.outcome(tenant, run)["result"]?.rawJSON.string == #"{"later":1}"#)
        #expect(server.received.count == 2)
        // The old road, over the run, stays open for holders of tools:respond.
        #expect(try await tenant.answer(other, theirs["callId"]?.string ?? "").json()["applied"]?.bool == true)
        #expect(try await tenant.events(other).last?.type == "run.completed")
        await server.close()
    }

    @Test func `a call is tried again until it succeeds, under one id, and a crash between two attempts loses nothing`() async throws {
        let count = Mutex(0)
        let server = try await ToolServer { _ in
            switch count.withLock({
                $0 += 1; return $0
            }) {
            case 1: .init(500, "not now")
            case 2: .init(429, headers: [("retry-after", "0")])
            default: .json("7")
            }
        }
        let (tenant, _) = try await Self.tenant()
        let run = try await tenant.run(steps: [Self.call, Config.says], tools: [Self.tool("http://127.0.0.1:\(server.port)/")])
        #expect(try await Self.outcome(tenant, run)["result"]?.rawJSON.string == "7")
        #expect(server.received.count == 3 && Set(server.received.map { $0.header("webhook-id") }).count == 1)
        let down = try await tenant.run(
            "down", steps: [Self.call, Config.says], tools: [Self.tool("http://127.0.0.1:1/", timeoutSeconds: 1)])
        let events = try await tenant.events(down)
        #expect(events.last?.type == "run.completed" && events.contains { $0.type == "tool.call.expired" })
        await server.close()
    }

    @Test func `during an overlap both keys sign, and without a key nothing is published`() async throws {
        let server = try await ToolServer { _ in .json("1") }
        let url = "http://127.0.0.1:\(server.port)/"
        let bare = try await TestTenant.make()
        let config = Config.text("tester", steps: [Self.call], tools: [Self.tool(url)])
        try await bare.send("POST", "/api/agents", #"{"name":"tester","config":\#(config)}"#).expectProblem(422, "secret_not_usable")
        let (tenant, old) = try await Self.tenant()
        let new = try #require(WebhookSecret(try await tenant.client.rotateWebhookSecret(overlapSeconds: 600).secret))
        let run = try await tenant.run(steps: [Self.call, Config.says], tools: [Self.tool(url)])
        _ = try await Self.outcome(tenant, run)
        let request = try #require(server.received.first)
        let id = request.header("webhook-id") ?? ""
        let time = request.header("webhook-timestamp").flatMap { Int64($0) } ?? 0
        let both = [new, old].map { $0.signature(id: id, timestamp: time, body: request.body) }.joined(separator: " ")
        #expect(request.header("webhook-signature") == both)
        let last = try #require(WebhookSecret(try await tenant.client.rotateWebhookSecret(overlapSeconds: 0).secret))
        let again = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        _ = try await tenant.events(again)
        let second = try #require(server.received.last)
        #expect(
            second.header("webhook-signature")
                == last.signature(
                    id: second.header("webhook-id") ?? "", timestamp: second.header("webhook-timestamp").flatMap { Int64($0) } ?? 0,
                    body: second.body))
        try await tenant.send("POST", "/api/webhook-secret/rotate", #"{"overlapSeconds":-1}"#).expectProblem(422, "invalid_body")
        await server.close()
    }

    @Test func `a secret in a header goes along, and comes back in no event, inline or later`() async throws {
        let value = "ext-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        let server = try await ToolServer { request in .json(#"{"got":"\#(request.header("x-key") ?? "")"}"#) }
        let (tenant, _) = try await Self.tenant()
        _ = try await tenant.client.secrets.set("EXT", value: value, hosts: ["127.0.0.1:\(server.port)"])
        let run = try await tenant.run(
            steps: [Self.call, Config.tellsResult],
            tools: [Self.tool("http://127.0.0.1:\(server.port)/", headers: #"{"X-Key":"${secret.EXT}"}"#)])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed" && server.received.first?.header("x-key") == value)
        for event in events { #expect(!event.data.string.contains(value)) }
        await server.close()
    }
}
