import Domain
import HsafaClient
import JSON
import Synchronization
import TestServers
import TestSupport
import Testing

/// One run whose tools live everywhere: on the server in every kind, on a device, in a page, in an external system, on an MCP server, in a run
/// of another agent, and behind a person.
@Suite(.timeLimit(.minutes(5)))
struct EverywhereTests {
    private static let server = [
        Config.echo, #"{"name":"fixed","executionType":"basic","execution":{"mode":"static","output":"fixed"}}"#,
        #"{"name":"sum","executionType":"compute","execution":{"expression":"a + b"}}"#,
        #"{"name":"wait","executionType":"waiting","execution":{"seconds":1}}"#,
    ]

    private static let calls = [
        ("echo", #"{"n":1}"#), ("fixed", "{}"), ("sum", #"{"a":2,"b":3}"#), ("wait", "{}"), ("look", #"{"id":"7"}"#), ("research", "{}"),
        ("docs.echo", #"{"text":"from MCP"}"#), ("fs.read", #"{"path":"a"}"#), ("ask", #"{"question":"sure?"}"#),
        ("charge", #"{"amount":42}"#), ("book", #"{"to":"Oslo"}"#),
    ]

    @Test func `one run uses all targets, an MCP server, a run of its own and a person's word`() async throws {
        let (tenant, _) = try await External.tenant()
        let mcp = try await MCPServerProcess.shared(.two, .http).url
        let outside = try await ToolServer { request in
            request.method == "POST" ? .json(#"{"charged":true}"#) : .json(#"{"path":"\#(request.uri)"}"#)
        }
        let url = "http://127.0.0.1:\(outside.port)"
        let policy = #"{"version":1,"rules":[{"id":"person","effect":"require_approval","tools":["book"],"targets":["browser"]}]}"#
        #expect(try await tenant.send("PUT", "/api/policies/person-first", policy).status == 201)
        try await tenant.agent("researcher", steps: [Config.says])
        let step = #"{"toolCalls":[\#(Self.calls.map { #"{"name":"\#($0.0)","arguments":\#($0.1)}"# }.joined(separator: ","))]}"#
        let tools =
            Self.server + [
                #"{"name":"look","executionType":"request","execution":{"url":"\#(url)/users/{{id}}"}}"#,
                Config.child("research", of: "researcher"), Config.device, Config.browser("ask"), Config.browser("book"),
                External.tool(url),
            ]
        let text = Config.text("everywhere", steps: [step, Config.says], tools: tools)
        let config = text.dropLast() + #","mcp":{"servers":[{"name":"docs","url":"\#(mcp)"}]}}"#
        let agent = try await tenant.client.agents.create(name: "everywhere", config: RawJSON(trusted: Array(config.utf8)))
        let device = try await tenant.device()
        let gateway = tenant.gateway
        try await device.connected(gateway) { socket async throws in
            let run = try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Go.")]).runId
            let token = try await tenant.runToken(run, ["tools", "approvals"])
            let asked = try await socket.next("tool.call.request")
            try await socket.answer(try #require(asked["callId"]?.string), #""on the device""#)
            #expect(try await socket.isApplied())
            // The page: what is asked of it and may be carried out, and then what a person has let through.
            let page = tenant.page(token)
            let held = try await tenant.approval(of: run)
            let first = try #require(try await tenant.pendingCalls(run).first { $0["tool"]?.string == "ask" }?["callId"]?.string)
            for call in [first, held.call] {
                if call == held.call {
                    #expect(try await page.send("POST", "/api/runs/\(run)/tool-calls/\(call)/approve").status == 200)
                }
                let body = #"{"callId":"\#(call)","result":"in the page"}"#
                #expect(try await page.send("POST", "/api/runs/\(run)/tool-results", body).status == 200)
            }
            let events = try await tenant.events(run)
            try self.check(events)
            self.show(events)
        }
        await outside.close()
    }

    private func check(_ events: [HsafaClient.Event]) throws {
        #expect(events.last?.type == "run.completed")
        let seqs: [Int] = events.map(\.seq)
        #expect(seqs == Array(1...events.count))
        var tools: [String: String] = [:]
        var targets: [String: String] = [:]
        var results: [String: String] = [:]
        for event in events {
            let data = try event.json()
            guard let call = data["callId"]?.string else { continue }
            if event.type == "tool.call.requested" {
                tools[call] = data["tool"]?.string
                targets[call] = data["target"]?.string
            }
            if event.type == "tool.result.received" {
                let outcome: JSONNode = data["result"] ?? data
                results[tools[call] ?? call] = outcome.rawJSON.string
            }
        }
        #expect(Set(targets.values) == Set(ToolTarget.allCases.map(\.rawValue)))
        #expect(Set(tools.values) == Set(Self.calls.map(\.0)) && results.count == Self.calls.count)
        let expected = [
            "echo": #"{"n":1}"#, "fixed": #""fixed""#, "sum": "5", "look": #"{"path":"/users/7"}"#, "docs.echo": #""from MCP""#,
            "fs.read": #""on the device""#, "ask": #""in the page""#, "book": #""in the page""#, "charge": #"{"charged":true}"#,
        ]
        for (tool, result) in expected { #expect(results[tool] == result, "\(tool)") }
        #expect(results["wait"]?.contains("firedAt") == true)
        #expect(results["research"]?.contains("Hello.") == true, "\(results["research"] ?? "")")
    }

    /// The log as a reader would want it, once: what a newcomer sees of such a run.
    private func show(_ events: [HsafaClient.Event]) {
        for event in events { print("    \(event.seq)  \(event.type)  \(event.data.string.prefix(150))") }
    }
}
