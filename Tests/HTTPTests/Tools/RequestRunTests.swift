import Domain
import FoundationEssentials
import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

/// Tools that the gateway carries out itself, in whole runs.
struct RequestRunTests {
    private static func tool(_ name: String, _ execution: String, timeoutSeconds: Int = 60) -> String {
        #"{"name":"\#(name)","executionType":"request","timeoutSeconds":\#(timeoutSeconds),"execution":\#(execution)}"#
    }

    private static func call(_ name: String, _ arguments: String) -> String {
        #"{"toolCalls":[{"name":"\#(name)","arguments":\#(arguments)}]}"#
    }

    /// What the call came to.
    private static func outcome(_ tenant: TestTenant, _ run: String) async throws -> JSONNode {
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        return try #require(try events.last { $0.type == "tool.result.received" }?.json())
    }

    @Test func `a request carries the arguments, each encoded for its place, and its JSON is the result`() async throws {
        let server = try await ToolServer { _ in .json(#"{ "ok": [1, "ü"] }"#) }
        let tenant = try await TestTenant.make()
        let execution = #"""
            {"url":"http://127.0.0.1:\#(server.port)/users/{{id}}","method":"POST","query":{"q":"{{q}}"},"headers":{"X-Who":"{{id}}"},"body":{"n":"{{n}}"}}
            """#
        let run = try await tenant.run(
            steps: [Self.call("save", #"{"id":"a/b?c","q":"x&y","n":[1,{"z":null}]}"#), Config.tellsResult],
            tools: [Self.tool("save", execution)])
        let outcome = try await Self.outcome(tenant, run)
        #expect(outcome["result"]?.rawJSON.string == #"{"ok":[1,"ü"]}"#)
        #expect(outcome["source"]?.string == "server")
        let request = try #require(server.received.first)
        #expect(request.method == "POST" && request.uri == "/users/a%2Fb%3Fc?q=x%26y")
        #expect(request.text == #"{"n":[1,{"z":null}]}"#)
        #expect(request.header("x-who") == "a/b?c" && request.header("content-type") == "application/json")
        #expect(request.header("idempotency-key") == outcome["callId"]?.string)
        #expect(request.header("authorization") == nil)
        await server.close()
    }

    @Test func `answers that are no success, no text, too large or not there are errors that the model can mend`() async throws {
        let server = try await ToolServer { request in
            switch request.uri {
            case "/404": .json(#"{"error":"no such user"}"#, status: 404)
            case "/text": .init(200, "plain ü")
            case "/large": .init(200, String(repeating: "\u{1}x", count: Limits.maxToolResultBytes))
            case "/broken": .init(200, #"{"a":"#, type: "application/json")
            case "/slow": .mute
            default: .init(200, "\u{0}", type: "application/octet-stream")
            }
        }
        let tenant = try await TestTenant.make()
        let base = "http://127.0.0.1:\(server.port)"
        let cases: [(name: String, url: String, code: String?)] = [
            ("missing", base + "/404", "http_404"), ("text", base + "/text", nil), ("large", base + "/large", nil),
            ("broken", base + "/broken", nil),
            ("binary", base + "/binary", "not_text"), ("slow", base + "/slow", "timeout"),
            ("inside", "http://127.0.0.2:\(server.port)/", "egress_denied"),
            ("metadata", "http://169.254.169.254/latest/meta-data/", "egress_denied"), ("closed", "http://127.0.0.1:1/", "unreachable"),
        ]
        let calls = cases.map { #"{"name":"\#($0.name)","arguments":{}}"# }.joined(separator: ",")
        let run = try await tenant.run(
            steps: [#"{"toolCalls":[\#(calls)]}"#, Config.says],
            tools: cases.map { test in
                let timeout: String = test.name == "slow" ? #","timeout":50"# : ""
                return Self.tool(test.name, #"{"url":"\#(test.url)"\#(timeout)}"#)
            })
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        var outcomes: [String: JSONNode] = [:]
        let requested = try events.filter { $0.type == "tool.call.requested" }.map { try $0.json() }
        for event in events where event.type == "tool.result.received" {
            let data = try event.json()
            let name = try #require(requested.first { $0["callId"]?.string == data["callId"]?.string }?["tool"]?.string)
            outcomes[name] = data
        }
        #expect(outcomes.count == cases.count)
        for test in cases {
            #expect(
                outcomes[test.name]?["error"]?["code"]?.string == test.code,
                "\(test.name): \(outcomes[test.name]?.rawJSON.string.prefix(300) ?? "")")
        }
        #expect(outcomes["missing"]?["error"]?["message"]?.string?.contains("no such user") == true)
        #expect(outcomes["text"]?["result"]?.string == "plain ü")
        #expect(outcomes["broken"]?["result"]?.string == #"{"a":"#)
        let large = try #require(outcomes["large"]?["result"])
        #expect(large["truncated"]?.bool == true && large.raw.count <= Limits.maxToolResultBytes)
        await server.close()
    }

    @Test func `a secret reaches its host alone, and is in no event, even where the tool gives it back`() async throws {
        let echo = try await ToolServer { request in
            let key = request.header("x-key") ?? ""
            return request.uri.hasPrefix("/fail")
                ? .init(500, "bad key \(key)") : .json(#"{"got":"\#(key)","url":"\#(request.uri)","Pa":{"k":"\#(key)"}}"#)
        }
        let tenant = try await TestTenant.make()
        let value = "s3cr3t-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        _ = try await tenant.client.secrets.set("KEY", value: value, hosts: ["127.0.0.1:\(echo.port)"])
        let url = "http://127.0.0.1:\(echo.port)"
        let headers = #""headers":{"X-Key":"${secret.KEY}"}"#
        let tools = [
            Self.tool("echo", #"{"url":"\#(url)/{{a}}?k=${secret.KEY}",\#(headers)}"#),
            Self.tool("fail", #"{"url":"\#(url)/fail",\#(headers)}"#),
            #"{"name":"pass","executionType":"basic","execution":{"mode":"pass-through"}}"#,
        ]
        let steps = [
            #"{"toolCalls":[{"name":"echo","arguments":{"a":"${secret.KEY}"}},{"name":"fail","arguments":{}},{"name":"pass","arguments":{"a":"${secret.KEY}"}}]}"#,
            Config.tellsResult,
        ]
        let run = try await tenant.run(steps: steps, tools: tools)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(echo.received.count == 2 && echo.received.allSatisfy { $0.header("x-key") == value })
        #expect(echo.received.contains { $0.uri == "/%24%7Bsecret.KEY%7D?k=\(value)" })
        for event in events { #expect(!event.data.string.contains(value), "\(event.type)") }
        #expect(events.contains { $0.data.string.contains("[secret KEY]") })
        let stored = try await tenant.send("GET", "/api/runs/\(run)/tool-calls").text
        #expect(!stored.contains(value) && stored.contains("[secret KEY]"))
        // The host is taken from the secret: what was published may send it nowhere any more.
        _ = try await tenant.client.secrets.set("KEY", value: value, hosts: ["elsewhere.test"])
        let again = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        let outcomes = try await tenant.events(again).filter { $0.type == "tool.result.received" }
        #expect(outcomes.contains { $0.data.string.contains("may not be sent to") })
        #expect(echo.received.count == 2)
        await echo.close()
    }

    @Test(arguments: zip([0, 66, 90, 110, 1 << 20, 1 << 20], [1, 20, 45, 2, 1, 45]))
    func `a secret that a large answer is cut in is not shown in part`(_ room: Int, _ kept: Int) async throws {
        let echo = try await ToolServer { request in
            // Where the result is cut, and where the answer is not read on.
            let length = room == 1 << 20 ? Limits.maxToolAnswerBytes : Limits.maxToolResultBytes - room
            let filler = String(repeating: "x", count: length - kept)
            return .init(200, filler + (request.header("x-key") ?? "") + filler)
        }
        let tenant = try await TestTenant.make()
        let value = "s3cr3t-\(UUID.version7().lowercased)-end"
        SuiteLog.noteSecret(value)
        _ = try await tenant.client.secrets.set("KEY", value: value, hosts: ["127.0.0.1"])
        let execution = #"{"url":"http://127.0.0.1:\#(echo.port)","headers":{"X-Key":"${secret.KEY}"}}"#
        let run = try await tenant.run(steps: [Self.call("large", "{}"), Config.says], tools: [Self.tool("large", execution)])
        let head = try #require(try await Self.outcome(tenant, run)["result"]?["head"]?.string)
        // Whole or cut in two itself, what stands for the secret is all that is there of it.
        #expect("[secret KEY]".hasPrefix(head.drop { $0 == "x" }.prefix { $0 != "x" }), "\(head.suffix(80))")
        await echo.close()
    }

    @Test(arguments: [("json", "application/json"), ("text", "text/plain"), ("broken", "application/json")])
    func `a failure shows no secret, also one whose letters are escaped`(_ path: String, _ type: String) async throws {
        let echo = try await ToolServer { request in
            let key = (request.header("x-key") ?? "").utf8.map { byte in
                let digits = String(byte, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
            let body = #"{"error":"bad key \#(key)"}"#
            return .init(400, request.uri == "/broken" ? String(body.dropLast()) : body, type: type)
        }
        let tenant = try await TestTenant.make()
        let value = "s3cr3t-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        _ = try await tenant.client.secrets.set("KEY", value: value, hosts: ["127.0.0.1"])
        let execution = #"{"url":"http://127.0.0.1:\#(echo.port)/\#(path)","headers":{"X-Key":"${secret.KEY}"}}"#
        let run = try await tenant.run(steps: [Self.call("fail", "{}"), Config.says], tools: [Self.tool("fail", execution)])
        let message = try #require(try await Self.outcome(tenant, run)["error"]?["message"]?.string)
        #expect(message.contains("answered 400") && message.contains("[secret KEY]") && !message.contains(#"\u00"#), "\(message)")
        await echo.close()
    }

    @Test func `a model's key can be a secret, which goes to the model's host`() async throws {
        let chunk = #"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#
        let model = try await ToolServer { _ in .init(200, "data: \(chunk)\n\ndata: [DONE]\n\n", type: "text/event-stream") }
        let tenant = try await TestTenant.make()
        let value = "sk-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        _ = try await tenant.client.secrets.set("MODEL", value: value, hosts: ["127.0.0.1"])
        func config(_ url: String) -> RawJSON {
            RawJSON(
                trusted: Array(
                    #"{"version":"1.0","agent":{"name":"m"},"model":{"provider":"openai-compatible","name":"x","baseURL":"\#(url)","apiKey":"${secret.MODEL}"}}"#
                        .utf8
                ))
        }
        let agent = try await tenant.client.agents.create(name: "m", config: config("http://127.0.0.1:\(model.port)/v1"))
        let run = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(events.last.map { $0.data.string } ?? "")")
        #expect(model.received.first?.header("authorization") == "Bearer \(value)")
        try await tenant.client.secrets.delete("MODEL")
        let failing = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
        #expect(try await tenant.events(failing).last?.data.string.contains("secret_missing") == true)
        await model.close()
    }

    @Test func `a model's base URL is judged like every other`() async throws {
        let tenant = try await TestTenant.make()
        let config = RawJSON(
            #"{"version":"1.0","agent":{"name":"m"},"model":{"provider":"openai-compatible","name":"x","baseURL":"http://169.254.169.254/v1"}}"#
        )
        let agent = try await tenant.client.agents.create(name: "m", config: config)
        let run = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
        let last = try #require(try await tenant.events(run).last)
        #expect(last.type == "run.failed" && last.data.string.contains("model_forbidden"), "\(last.data.string)")
    }

    @Test func `server tools of a step run beside each other, and a cancel ends those under way`() async throws {
        let server = try await ToolServer { _ in .mute }
        let tenant = try await TestTenant.make()
        let names = (0..<12).map { "t\($0)" }
        let calls = names.map { #"{"name":"\#($0)","arguments":{}}"# }.joined(separator: ",")
        let run = try await tenant.run(
            steps: [#"{"toolCalls":[\#(calls)]}"#, Config.says],
            tools: names.map { Self.tool($0, #"{"url":"http://127.0.0.1:\#(server.port)/"}"#) })
        // None is answered: so many are under way at once, and no more.
        #expect(await eventually(within: 60) { server.received.count == Limits.serverToolsAtOnce })
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.canceled")
        #expect(events.filter { $0.type == "tool.call.canceled" }.count == names.count)
        #expect(server.received.count == Limits.serverToolsAtOnce)
        await server.close()
    }

    @Test(arguments: [
        (#"{"name":"t","executionType":"image-generator","execution":{}}"#, "/config/tools/0/executionType")
    ])
    func `a kind of tool that this version cannot run is refused at publish`(_ tool: String, _ pointer: String) async throws {
        let tenant = try await TestTenant.make()
        let config = Config.text("bad", steps: [Config.says], tools: [tool])
        let answer = try await tenant.send("POST", "/api/agents", #"{"name":"bad","config":\#(config)}"#)
        try answer.expectProblem(422, "invalid_body")
        #expect(try answer.pointers() == [pointer])
    }

    @Test func `an expression answers from the arguments, and tells the model what is wrong with them`() async throws {
        let tenant = try await TestTenant.make()
        let tool = #"{"name":"total","executionType":"compute","execution":{"expression":"{total: round(price * quantity, 2)}"}}"#
        let steps = [Self.call("total", #"{"price":19.99,"quantity":3}"#), Self.call("total", #"{"price":"x","quantity":3}"#), Config.says]
        let run = try await tenant.run(steps: steps, tools: [tool])
        let results = try await tenant.events(run).filter { $0.type == "tool.result.received" }.map { try $0.json() }
        try #require(results.count == 2)
        #expect(results[0]["result"]?.rawJSON.string == #"{"total":59.97}"#)
        #expect(results[1]["error"]?["code"]?.string == "compute_failed")
        #expect(results[1]["error"]?["message"]?.string?.contains("at character 21") == true, "\(results[1].rawJSON.string)")
        let bad = try await tenant.send(
            "POST", "/api/agents",
            #"{"name":"bad","config":\#(Config.text("bad", steps: [Config.says], tools: [#"{"name":"t","executionType":"compute","execution":{"expression":"1 +"}}"#]))}"#
        )
        try bad.expectProblem(422, "invalid_body")
        #expect(try bad.pointers() == ["/config/tools/0/execution/expression"])
    }
}
