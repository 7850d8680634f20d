import Domain
import Foundation
import HsafaClient
import JSON
import Runtime
import TestServers
import TestSupport
import Testing

/// Runs whose tools are those of real MCP servers, of every era.
struct MCPTests {
    private static func config(_ steps: [String], _ servers: [String], tools: [String] = []) -> RawJSON {
        let text = Config.text("tester", steps: steps, tools: tools)
        return RawJSON(trusted: Array((text.dropLast() + #","mcp":{"servers":[\#(servers.joined(separator: ","))]}}"#).utf8))
    }

    private static func server(_ name: String, _ url: String, _ more: String = "") -> String {
        #"{"name":"\#(name)","url":"\#(url)"\#(more)}"#
    }

    private static func calls(_ calls: (String, String)...) -> String {
        #"{"toolCalls":[\#(calls.map { #"{"name":"\#($0.0)","arguments":\#($0.1)}"# }.joined(separator: ","))]}"#
    }

    private func run(_ tenant: TestTenant, _ config: RawJSON, _ name: String = "tester") async throws -> String {
        let config = RawJSON(trusted: Array(config.string.replacing(#"{"name":"tester"}"#, with: #"{"name":"\#(name)"}"#).utf8))
        let agent = try await tenant.client.agents.create(name: name, config: config)
        return try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
    }

    /// Result or error of each call, by tool, in order.
    private func outcomes(_ events: [HsafaClient.Event]) throws -> [String: String] {
        var names: [String: String] = [:]
        var outcomes: [String: String] = [:]
        for event in events {
            let data = try event.json()
            guard let id = data["callId"]?.string else { continue }
            if event.type == "tool.call.requested" { names[id] = data["tool"]?.string }
            if event.type == "tool.result.received" || event.type == "tool.call.denied" {
                let outcome = data["result"] ?? data["error"]
                outcomes[names[id] ?? id] = outcome?.rawJSON.string ?? data.rawJSON.string
            }
        }
        return outcomes
    }

    @Test func `a run uses the tools of servers of all eras`() async throws {
        let tenant = try await TestTenant.make()
        let modern = try await MCPServerProcess.shared(.two, .http).url
        let legacy = try await MCPServerProcess.shared(.one, .http).url
        let stream = try await MCPServerProcess.shared(.one, .sse).url
        let calls = Self.calls(
            ("modern.forecast", #"{"city":"Kyjiw"}"#), ("legacy.echo", #"{"text":"a"}"#), ("stream.add", #"{"a":1,"b":2}"#),
            ("legacy.fail", #"{"reason":"for no reason"}"#), ("modern.whoami", "{}"))
        let run = try await run(
            tenant,
            Self.config(
                [calls, Config.tellsResult],
                [
                    Self.server("modern", modern, #","headers":{"X-Tenant":"acme"}"#), Self.server("legacy", legacy),
                    Self.server("stream", stream),
                ]))
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let outcomes = try outcomes(events)
        #expect(outcomes["modern.forecast"] == #"{"city":"Kyjiw","celsius":21.5}"#)
        #expect(outcomes["legacy.echo"] == #""a""#)
        #expect(outcomes["stream.add"] == #"{"result":3}"#)
        #expect(outcomes["legacy.fail"]?.contains("for no reason") == true)
        #expect(outcomes["legacy.fail"]?.contains("tool_failed") == true)
        #expect(events.last { $0.type == "assistant.message" }?["text"] == #"It said "acme""#)
        #expect(try events.filter { $0.type == "tool.call.requested" }.allSatisfy { try $0.json()["target"]?.string == "server" })
        #expect(try events.filter { $0.type == "step.started" }.allSatisfy { try $0.json()["unavailableServers"] == nil })
    }

    @Test func `a header carries a secret, a replaced one from the next request on, and the server cannot give it back`() async throws {
        let tenant = try await TestTenant.make()
        let (old, new) = ("mcp-\(UUID().uuidString)", "mcp-\(UUID().uuidString)")
        for value in [old, new] { SuiteLog.noteSecret(value) }
        let server = try await MCPServerProcess.start(.two, .http)
        let place = "127.0.0.1:\(server.port)"
        _ = try await tenant.client.secrets.set("WHO", value: old, hosts: [place])
        let call = Self.calls(("docs.whoami", "{}"))
        let config = Self.config(
            [call, Config.tellsResult], [Self.server("docs", server.url, #","headers":{"X-Tenant":"${secret.WHO}"}"#)])
        func outcome(_ run: String) async throws -> String? {
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed")
            for event in events { #expect(!event.data.string.contains(old) && !event.data.string.contains(new), "\(event.type)") }
            return try outcomes(events)["docs.whoami"]
        }
        #expect(try await outcome(try await run(tenant, config)) == #""[secret WHO]""#)
        _ = try await tenant.client.secrets.set("WHO", value: new, hosts: [place])
        let again = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        #expect(try await outcome(again) == #""[secret WHO]""#)
        _ = try await tenant.client.secrets.set("WHO", value: new, hosts: ["elsewhere.test"])
        let refused = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        // By the call; or, where the list of tools is old enough to be asked for again, before it.
        _ = try await outcome(refused)
        let refusals = try await tenant.events(refused).filter { $0.data.string.contains("may not be sent to") }
        #expect(refusals.contains { $0.type == "tool.result.received" || $0.type == "step.started" }, "\(refusals.map(\.type))")
        server.kill()
    }

    @Test func `arguments are checked against what the server said, and what is not allowed is not there`() async throws {
        let tenant = try await TestTenant.make()
        let url = try await MCPServerProcess.shared(.two, .http).url
        let calls = Self.calls(("docs.add", #"{"a":"one","b":2}"#), ("docs.echo", #"{"text":"a"}"#), ("docs.nothing", "{}"))
        let run = try await run(
            tenant, Self.config([calls, Config.says], [Self.server("docs", url, #","allowedTools":["add"]"#)]))
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let codes = try events.filter { $0.type == "tool.result.received" }.map { try $0.json()["error"]?["code"]?.string }
        #expect(codes == ["invalid_arguments", "unknown_tool", "unknown_tool"])
    }

    @Test func `a server that is away costs the run its own tools only`() async throws {
        let tenant = try await TestTenant.make()
        let here = try await MCPServerProcess.shared(.two, .http).url
        let gone = "http://127.0.0.1:\(try freePort())/mcp"
        let calls = Self.calls(("here.echo", #"{"text":"a"}"#), ("gone.echo", #"{"text":"a"}"#), ("echo", #"{"b":1}"#))
        let run = try await run(
            tenant,
            Self.config([calls, Config.says], [Self.server("gone", gone), Self.server("here", here)], tools: [Config.echo]))
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let outcomes = try outcomes(events)
        #expect(outcomes["here.echo"] == #""a""#)
        #expect(outcomes["echo"] == #"{"b":1}"#)
        let started = try #require(events.first { $0.type == "step.started" }).json()["unavailableServers"]
        #expect(started?.count == 1)
        #expect(started?[0]?["server"]?.string == "gone")
        #expect(started?[0]?["error"]?["code"]?.string == "mcp_unreachable")
    }

    @Test func `a server at an address that nobody may reach is not asked`() async throws {
        let tenant = try await TestTenant.make()
        let servers = [Self.server("meta", "http://169.254.169.254/mcp"), Self.server("local", "http://[::ffff:127.0.0.2]/mcp")]
        let events = try await tenant.events(try await run(tenant, Self.config([Config.says], servers)))
        #expect(events.last?.type == "run.completed")
        let started = try #require(events.first { $0.type == "step.started" }).json()["unavailableServers"]
        #expect(
            started?.elements.map { $0["error"]?["code"]?.string } == ["mcp_refused", "mcp_refused"], "\(started?.rawJSON.string ?? "")")
    }

    @Test func `a server that dies before the call gives the model an error, and the run goes on`() async throws {
        let tenant = try await TestTenant.make()
        let server = try await MCPServerProcess.start(.one, .http)
        // The list is known after the first step; while a browser is waited for, the server dies.
        let steps = [
            Self.calls(("docs.echo", #"{"text":"a"}"#)), Config.calls("ask"), Self.calls(("docs.echo", #"{"text":"b"}"#)), Config.says,
        ]
        let run = try await run(
            tenant, Self.config(steps, [Self.server("docs", server.url)], tools: [Config.browser("ask")]))
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        server.kill()
        #expect(try await tenant.answer(run, call).status == 200)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let results = try events.filter { $0.type == "tool.result.received" }.map { try $0.json() }
        #expect(results.first?["result"]?.string == "a")
        let code = results.last?["error"]?["code"]?.string
        #expect(code == "mcp_unreachable" || code == "mcp_interrupted" || code == "unknown_tool", "\(code ?? "none")")
    }

    @Test func `a run that is canceled ends its call at the server`() async throws {
        for (line, mode) in [(MCPServerProcess.Line.two, MCPServerProcess.Mode.http), (.one, .http), (.one, .sse)] {
            let tenant = try await TestTenant.make()
            let server = try await MCPServerProcess.start(line, mode)
            let run = try await run(
                tenant, Self.config([Self.calls(("docs.slow", "{}")), Config.says], [Self.server("docs", server.url)])
            )
            // The server, which other runs may use, tells what it is at work on.
            let asks = try await TestTenant.make()
            // A call that has not come to the server yet is ended without it.
            try await told(#""slow":1"#, by: server, asks, "before")
            #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel", "{}").status == 200)
            #expect(try await tenant.events(run).last?.type == "run.canceled")
            try await told(#""cancelled":1"#, by: server, asks, "after")
            server.kill()
        }
    }

    private func told(_ what: String, by server: MCPServerProcess, _ asks: TestTenant, _ name: String) async throws {
        for attempt in 0..<200 {
            let config = Self.config([Self.calls(("docs.state", "{}")), Config.says], [Self.server("docs", server.url)])
            let events = try await asks.events(try await run(asks, config, "\(name)-\(attempt)"))
            if try outcomes(events)["docs.state"]?.contains(what) == true { return }
        }
        Issue.record("the server never said \(what)")
    }

    @Test func `policy decides about discovered tools`() async throws {
        let rules = """
            version: 1
            rules:
              - id: servers
                targets: [server]
                effect: allow
              - id: no-failing
                tools: ["docs.f*"]
                effect: deny
            """
        let folder = try temporaryFolder(["rules.yaml": rules])
        let gateway = try await TestGateway.running(in: try await .fresh()) { $0.policiesDirectory = folder }
        let tenant = try await TestTenant.make(on: gateway)
        let url = try await MCPServerProcess.shared(.two, .http).url
        let named = try await tenant.send(
            "POST", "/api/agents",
            #"{"name":"tester","config":\#(Self.config([Config.says], [Self.server("docs", url, #","allowedTools":["echo","fail"]"#)]).string)}"#
        )
        try named.expectProblem(422, "tool_denied_by_policy")
        #expect(try named.pointers() == ["/config/mcp/servers/0/allowedTools"])
        let calls = Self.calls(("docs.echo", #"{"text":"a"}"#), ("docs.fail", #"{"reason":"x"}"#))
        let run = try await run(tenant, Self.config([calls, Config.says], [Self.server("docs", url)]))
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let outcomes = try outcomes(events)
        #expect(outcomes["docs.echo"] == #""a""#)
        #expect(outcomes["docs.fail"]?.contains("denied_by_policy") == true)
    }
}
