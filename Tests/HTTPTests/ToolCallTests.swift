import Domain
import HsafaClient
import JSON
import Testing

/// Calls of tools, answered over HTTP or by the gateway itself.
struct ToolCallTests {
    @Test func `a browser answers a call once, and the run goes on`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [#"{"toolCalls":[{"name":"ask","arguments":{"question":"why?"}}]}"#, Config.tellsResult], tools: [Config.browser("ask")])
        let calls = try await tenant.pendingCalls(run)
        try #require(calls.count == 1)
        let call = try #require(calls[0]["callId"]?.string)
        #expect(calls[0]["tool"]?.string == "ask")
        #expect(calls[0]["target"]?.string == "browser")
        #expect(calls[0]["args"]?.rawJSON.string == #"{"question":"why?"}"#)
        #expect(calls[0]["status"]?.string == "requested")
        #expect(try await tenant.snapshot(run)["status"]?.string == "waiting_tool")
        let first = try await tenant.answer(run, call, #"{ "because": 1 }"#)
        #expect(first.status == 200)
        #expect(try first.json()["applied"]?.bool == true)
        #expect(try await tenant.answer(run, call, #""too late""#).json()["applied"]?.bool == false)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.contains { $0.type == "run.resumed" && $0["reason"] == "tool_results" })
        #expect(events.last { $0.type == "assistant.message" }?["text"] == #"It said {"because":1}"#)
        let stored = try await tenant.send("GET", "/api/runs/\(run)/tool-calls").json()["data"]
        #expect(stored?.count == 1)
        #expect(stored?[0]?["status"]?.string == "completed")
        #expect(stored?[0]?["source"]?.string == "browser")
        #expect(stored?[0]?["result"]?.rawJSON.string == #"{"because":1}"#)
    }

    @Test func `calls are listed in pages, which end at their bytes too`() async throws {
        let tenant = try await TestTenant.make()
        let step = { (number: Int) in
            let calls = (0..<10).map { #"{"name":"large","arguments":{"n":\#(number * 10 + $0)}}"# }
            return #"{"toolCalls":[\#(calls.joined(separator: ","))]}"#
        }
        let text = String(repeating: "x", count: 200_000)
        let large = #"{"name":"large","executionType":"basic","execution":{"mode":"static","output":"\#(text)"}}"#
        let run = try await tenant.run(steps: [step(0), step(1), step(2), Config.says], tools: [large])
        #expect(try await tenant.events(run).last?.type == "run.completed")
        func pages(_ query: String) async throws -> [[Int64?]] {
            var pages: [[Int64?]] = []
            var cursor = ""
            repeat {
                let answer = try await tenant.send("GET", "/api/runs/\(run)/tool-calls?\(query)\(cursor)")
                #expect(answer.status == 200 && answer.text.utf8.count < Limits.maxToolCallsPageBytes + 100_000)
                let page = try answer.json()
                pages.append(try #require(page["data"]).elements.map { $0["args"]?["n"]?.int.map(Int64.init) })
                cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty && pages.count < 50
            return pages
        }
        let byCount = try await pages("limit=4")
        #expect(byCount.map(\.count) == [4, 4, 4, 4, 4, 4, 4, 2])
        let byBytes = try await pages("limit=100")
        // 200 kB of arguments and result each: twenty of them are within the bound, one more is not.
        #expect(byBytes.map(\.count) == [20, 10])
        #expect(byBytes.flatMap { $0 } == byCount.flatMap { $0 })
        #expect(Set(byCount.flatMap { $0 }) == Set((0..<30).map { Int64($0) }))
        try await tenant.send("GET", "/api/runs/\(run)/tool-calls?cursor=x").expectProblem(400, "invalid_query")
    }

    @Test func `a tool's error goes to the model, and the run goes on`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let body = #"{"callId":"\#(call)","error":{"code":"closed","message":"The page was closed."}}"#
        #expect(try await tenant.send("POST", "/api/runs/\(run)/tool-results", body).json()["applied"]?.bool == true)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.last { $0.type == "assistant.message" }?["text"]?.contains("The page was closed.") == true)
    }

    @Test func `a result for no call, or for a call of another target, is refused`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Config.calls("ask", "fs.read")], tools: [Config.browser("ask"), Config.device])
        let calls = try await tenant.pendingCalls(run)
        let device = try #require(calls.first { $0["target"]?.string == "device" }?["callId"]?.string)
        let browser = try #require(calls.first { $0["target"]?.string == "browser" }?["callId"]?.string)
        try await tenant.answer(run, unknownID()).expectProblem(404, "tool_call_not_found")
        try await tenant.answer(run, device).expectProblem(409, "wrong_target")
        // A call belongs to its run.
        let other = try await tenant.run("other", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        try await tenant.answer(other, browser).expectProblem(404, "tool_call_not_found")
        let bodies = [
            (#"{"callId":"\#(browser)"}"#, "/result"), (#"{"callId":"\#(browser)","result":1,"error":"x"}"#, "/error"),
            (#"{"callId":"no uuid","result":1}"#, "/callId"), (#"{"result":1}"#, "/callId"),
        ]
        for (body, pointer) in bodies {
            let answer = try await tenant.send("POST", "/api/runs/\(run)/tool-results", body)
            try answer.expectProblem(422, "invalid_body")
            #expect(try answer.pointers() == [pointer])
        }
        // Of a call that has no answer yet.
        #expect(try await tenant.answer(run, browser, "null").json()["applied"]?.bool == true)
    }

    @Test func `of answers that come at once, one is applied`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let applied = try await withThrowingTaskGroup(returning: [Int].self) { group in
            for index in 0..<20 {
                group.addTask { try await tenant.answer(run, call, "\(index)").json()["applied"]?.bool == true ? index : nil }
            }
            return try await group.reduce(into: []) { if let index = $1 { $0.append(index) } }
        }
        try #require(applied.count == 1)
        let events = try await tenant.events(run)
        #expect(events.filter { $0.type == "tool.result.received" }.count == 1)
        #expect(events.last { $0.type == "assistant.message" }?["text"] == "It said \(applied[0])")
    }

    @Test func `a run goes on only after all calls of its step have their outcome`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Config.calls("left", "right"), Config.tellsResult], tools: [Config.browser("left"), Config.browser("right")])
        let calls = try await tenant.pendingCalls(run).compactMap { $0["callId"]?.string }
        try #require(calls.count == 2)
        #expect(try await tenant.answer(run, calls[1]).json()["applied"]?.bool == true)
        let between = try await tenant.snapshot(run)
        #expect(between["status"]?.string == "waiting_tool")
        #expect(between["pendingCalls"]?.elements.map { $0["callId"]?.string } == [calls[0]])
        #expect(try await tenant.answer(run, calls[0]).json()["applied"]?.bool == true)
        let types = try await tenant.events(run).map(\.type)
        #expect(types.filter { $0 == "run.resumed" }.count == 1)
        #expect(types.last == "run.completed")
    }

    @Test func `what a model asks for that cannot be done comes back to it as an error`() async throws {
        let tenant = try await TestTenant.make()
        let calls =
            #"{"toolCalls":[{"name":"nothing"},{"name":"echo","argumentsText":"not json"},{"name":"echo","argumentsText":"[1]"},{"name":"echo","arguments":{"a":1}}]}"#
        let run = try await tenant.run(steps: [calls, Config.says], tools: [Config.echo])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let results = try events.filter { $0.type == "tool.result.received" }.map { try $0.json() }
        let codes = results.map { $0["error"]?["code"]?.string }
        #expect(codes == ["unknown_tool", "invalid_arguments", "invalid_arguments", nil])
        #expect(results.last?["result"]?.rawJSON.string == #"{"a":1}"#)
    }

    @Test func `arguments that do not fit the tool's schema come back to the model with their faults, and it may mend them`() async throws {
        let tenant = try await TestTenant.make()
        let tool =
            #"{"name":"echo","executionType":"basic","execution":{"mode":"pass-through"},"inputSchema":{"type":"object","required":["path"],"properties":{"path":{"type":"string","pattern":"^/data/"}},"additionalProperties":false}}"#
        let asks = [#"{"path":"/etc/passwd","mode":1}"#, "{}", #"{"path":"/data/a"}"#].map { #"{"name":"echo","arguments":\#($0)}"# }
        let run = try await tenant.run(steps: [#"{"toolCalls":[\#(asks.joined(separator: ","))]}"#, Config.says], tools: [tool])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        let results = try events.filter { $0.type == "tool.result.received" }.map { try $0.json() }
        try #require(results.count == 3)
        for (result, faults) in zip(results, [["/path must match ^/data/", "/mode is not allowed"], ["/path is required"]]) {
            #expect(result["error"]?["code"]?.string == "invalid_arguments")
            for fault in faults { #expect(result["error"]?["message"]?.string?.contains(fault) == true, "\(result.rawJSON)") }
        }
        #expect(results[2]["result"]?.rawJSON.string == #"{"path":"/data/a"}"#)
    }

    @Test func `an agent that does not finish within its steps fails`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: Array(repeating: Config.calls("echo"), count: 5), tools: [Config.echo], maxSteps: 3)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.failed")
        #expect(events.filter { $0.type == "step.started" }.count == 3)
        #expect(try await tenant.snapshot(run)["error"]?["code"]?.string == "max_steps_reached")
    }

    @Test func `a call that is not answered in time expires, and the run goes on`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(
            steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask", timeoutSeconds: 1)])
        let events = try await tenant.events(run)
        let call = try #require(events.first { $0.type == "tool.call.requested" }?["callId"])
        #expect(events.contains { $0.type == "tool.call.expired" && $0["callId"] == call })
        #expect(events.last?.type == "run.completed")
        #expect(events.last { $0.type == "assistant.message" }?["text"]?.contains("expired") == true)
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == false)
    }

    @Test func `a model that fails ends its run, with a code that says why`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [#"{"error":{"code":"badRequest","message":"No such model."}}"#])
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.failed")
        let error = try await tenant.snapshot(run)["error"]
        #expect(error?["code"]?.string?.hasPrefix("model_") == true)
        #expect(error?["message"]?.string == "No such model.")
    }
}
