import HsafaClient
import JSON
import TestServers
import Testing

/// The roads by which results come, each with a run whose one call comes to a given result.
enum ResultRoad: String, CaseIterable, Sendable {
    case device, browser, inline, later, request, passThrough = "pass-through", compute, mcp, child

    /// How many letters the argument of the longest tool call has.
    private static let longestArgument = 200_000

    /// Where the argument of a call is the result, it has to fit into one.
    static func all(upTo bytes: Int) -> [ResultRoad] {
        allCases.filter { bytes <= longestArgument || ($0 != .passThrough && $0 != .compute) }
    }

    /// A finished run whose call came to the string of so many x.
    func run(_ tenant: TestTenant, letters: Int) async throws -> String {
        let text = String(repeating: "x", count: letters)
        let result = "\"\(text)\""
        switch self {
        case .device:
            // The call waits for its device, which then has it at once.
            let (device, run) = (try await tenant.device(), try await tenant.deviceRun())
            _ = try await tenant.pendingCalls(run)
            return try await device.connected(tenant.gateway) { socket async throws in
                let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
                try await socket.answer(call, result)
                #expect(try await socket.isApplied())
                return run
            }
        case .browser:
            let run = try await tenant.run(steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
            let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
            let answer = try await tenant.answer(run, call, result)
            #expect(answer.status == 200, "\(answer.text)")
            return run
        case .inline:
            _ = try await External.rotate(tenant)
            return try await asking(tenant, .json("  " + result + "\n")) {
                try await tenant.run(steps: [External.call, Config.tellsResult], tools: [External.tool($0)])
            }
        case .later:
            _ = try await External.rotate(tenant)
            let server = try await ToolServer { _ in .init(202) }
            let run = try await tenant.run(
                steps: [External.call, Config.tellsResult], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
            let posted = try #require(try await server.calls().first)
            let answer = try await tenant.later(posted.call, posted.token, #"{"result":\#(result)}"#)
            #expect(try answer.json()["applied"]?.bool == true, "\(answer.text)")
            await server.close()
            return run
        case .request:
            return try await asking(tenant, .json("\n  " + result)) {
                let tool = #"{"name":"get","executionType":"request","execution":{"url":"\#($0)"}}"#
                return try await tenant.run(steps: [Config.calls("get"), Config.tellsResult], tools: [tool])
            }
        case .passThrough:
            // `{"a":"…"}`
            let argument = #"{"a":"\#(text.dropLast(6))"}"#
            return try await tenant.run(steps: [Config.call("echo", argument), Config.tellsResult], tools: [Config.echo])
        case .compute:
            let tool = #"{"name":"say","executionType":"compute","execution":{"expression":"a + a"}}"#
            let (half, odd) = letters.quotientAndRemainder(dividingBy: 2)
            let expression = odd == 0 ? tool : tool.replacing("a + a", with: "a + a + 'x'")
            let argument = #"{"a":"\#(text.prefix(half))"}"#
            return try await tenant.run(steps: [Config.call("say", argument), Config.tellsResult], tools: [expression])
        case .mcp:
            let server = try await MCPServerProcess.shared(.two, .http)
            let call = Config.call("docs.long", #"{"length":\#(letters),"letter":"x"}"#)
            let config = Config.text("tester", steps: [call, Config.tellsResult])
            let whole = config.dropLast() + #","mcp":{"servers":[{"name":"docs","url":"\#(server.url)"}]}}"#
            let agent = try await tenant.client.agents.create(name: "tester", config: RawJSON(trusted: Array(whole.utf8)))
            return try await tenant.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]).runId
        case .child:
            try await tenant.agent("teller", steps: [#"{"text":"\#(text)"}"#])
            return try await tenant.run(
                steps: [Config.call("tell"), Config.tellsResult], tools: [Config.child("tell", of: "teller")])
        }
    }

    /// A run whose call asks a server of this answer.
    private func asking(_ tenant: TestTenant, _ reply: ToolServer.Reply, _ run: (String) async throws -> String) async throws -> String {
        let server = try await ToolServer { _ in reply }
        let id = try await run("http://127.0.0.1:\(server.port)/")
        _ = try await tenant.events(id)
        await server.close()
        return id
    }
}
