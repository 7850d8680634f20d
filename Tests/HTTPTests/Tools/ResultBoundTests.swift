import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

/// Results at their bound and over it, on every road by which one comes.
@Suite(.timeLimit(.minutes(10)))
struct ResultBoundTests {
    private static let small = 1000

    /// What of a result a simulated model can say again.
    private static let told = 4096

    private func expectCut(_ result: JSONNode, bytes: Int, maxBytes: Int, _ road: ResultRoad) {
        #expect(result["truncated"]?.bool == true && result.count == 4, "\(road): \(result.rawJSON.string.prefix(200))")
        #expect(result["bytes"]?.int == bytes && result["maxBytes"]?.int == maxBytes, "\(road)")
        #expect(result.raw.count <= maxBytes && result.raw.count > maxBytes - 100, "\(road): \(result.raw.count)")
        let head = result["head"]?.string ?? ""
        // A text shows as its text, an object as its JSON.
        #expect(head.drop { $0 != "x" }.allSatisfy { $0 == "x" } && head.count > maxBytes / 2, "\(road)")
    }

    /// Log, row, model and what a second reader of the API gets are one result.
    private func result(of run: String, _ tenant: TestTenant, _ road: ResultRoad) async throws -> JSONNode {
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed", "\(road): \(events.last.map { $0.data.string } ?? "")")
        let logged = try #require(try events.last { $0.type == "tool.result.received" }?.json()["result"], "\(road)")
        let call = try #require(try await tenant.send("GET", "/api/runs/\(run)/tool-calls").data().first)
        #expect(call["status"]?.string == "completed", "\(road)")
        #expect(call["result"]?.rawJSON == logged.rawJSON, "\(road)")
        let said = try #require(events.last { $0.type == "assistant.message" }?["text"])
        let told = logged.string.map { "\"\($0)\"" } ?? logged.rawJSON.string
        #expect(said == "It said \(told.prefix(Self.told))", "\(road)")
        return logged
    }

    @Test(arguments: ResultRoad.all(upTo: small)) func `policy's bound of a result`(_ road: ResultRoad) async throws {
        let tenant = try await TestTenant.make()
        let policy = #"{"version":1,"rules":[{"id":"small","effect":"allow","limits":{"maxResultBytes":\#(Self.small)}}]}"#
        #expect(try await tenant.send("PUT", "/api/policies/bounds", policy).status == 201)
        // A string's quotes count.
        let fits = try await road.run(tenant, letters: Self.small - 2)
        #expect(try await result(of: fits, tenant, road).raw.count == Self.small, "\(road)")
        let other = try await TestTenant.make()
        #expect(try await other.send("PUT", "/api/policies/bounds", policy).status == 201)
        let over = try await road.run(other, letters: Self.small - 1)
        expectCut(try await result(of: over, other, road), bytes: Self.small + 1, maxBytes: Self.small, road)
    }

    @Test(arguments: ResultRoad.all(upTo: Limits.maxToolResultBytes)) func `the gateway's bound of a result`(_ road: ResultRoad)
        async throws
    {
        let (tenant, other) = (try await TestTenant.make(), try await TestTenant.make())
        let fits = try await road.run(tenant, letters: Limits.maxToolResultBytes - 2)
        #expect(try await result(of: fits, tenant, road).raw.count == Limits.maxToolResultBytes, "\(road)")
        let over = try await road.run(other, letters: Limits.maxToolResultBytes - 1)
        expectCut(
            try await result(of: over, other, road), bytes: Limits.maxToolResultBytes + 1, maxBytes: Limits.maxToolResultBytes, road)
    }

    @Test func `what is over the bound of a body is refused with the bound, and a smaller answer is still taken`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let refused = try await tenant.answer(run, call, "\"\(String(repeating: "x", count: Limits.maxBodyBytes))\"")
        try refused.expectProblem(413, "too_large")
        #expect(try refused.json()["detail"]?.string?.contains("\(Limits.maxBodyBytes)") == true)
        #expect(try await tenant.answer(run, call, #""less""#).json()["applied"]?.bool == true)
        #expect(try await tenant.outcome(run)["result"]?.string == "less")
    }

    @Test(arguments: [Limits.maxDeviceFrameBytes + 1, Limits.maxSkimmedFrameBytes + 1])
    func `a device's result over the bound of a message fails its call, and the run goes on`(_ size: Int) async throws {
        let tenant = try await TestTenant.make()
        let (device, run) = (try await tenant.device(), try await tenant.deviceRun())
        _ = try await tenant.pendingCalls(run)
        try await device.connected(tenant.gateway) { socket async throws in
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            let begin = #"{"type":"tool.result","callId":"\#(call)","result":""#
            let message = Array(begin.utf8) + Array(repeating: UInt8(ascii: "x"), count: size - begin.utf8.count - 2) + Array("\"}".utf8)
            HeldToContract.leftOut("a message larger than one may be")
            guard size <= Limits.maxSkimmedFrameBytes else {
                // The gateway closes before the end of it has come.
                try? await socket.send(opcode: 1, message)
                #expect(try await socket.closing() == 1009)
                return
            }
            try await socket.send(opcode: 1, message)
            #expect(try await socket.next("error")["code"]?.string == "result_too_large")
            #expect(try await socket.isApplied())
        }
        let error = try #require(try await tenant.outcome(run)["error"])
        #expect(error["code"]?.string == "result_too_large")
        #expect(error["message"]?.string?.contains("at most \(Limits.maxDeviceFrameBytes) bytes") == true)
        // Nobody is asked again.
        try await device.connected(tenant.gateway) { socket async throws in
            try await socket.send(opcode: 9, [7])
            while true {
                let frame = try await socket.frame()
                if frame == .pong([7]) { break }
                guard case .text(let bytes) = frame else { continue }
                #expect(try JSONDocument(parsing: bytes).root["type"]?.string != "tool.call.request")
            }
        }
    }

    @Test func `a failure's text is cut too, whoever tells it`() async throws {
        let tenant = try await TestTenant.make()
        let long = String(repeating: "y", count: Limits.maxToolErrorBytes + 1)
        let run = try await tenant.run(steps: [Config.calls("ask", "ask"), Config.says], tools: [Config.browser("ask")])
        let errors = ["\"\(long)\"", #"{"code":"long","message":"\#(long)"}"#]
        for (call, error) in zip(try await tenant.pendingCalls(run), errors) {
            let id = try #require(call["callId"]?.string)
            let answer = try await tenant.send("POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(id)","error":\#(error)}"#)
            #expect(try answer.json()["applied"]?.bool == true, "\(answer.text)")
        }
        let told = try await tenant.events(run).filter { $0.type == "tool.result.received" }.map { try $0.json() }
        #expect(told.count == 2)
        for event in told {
            let message = try #require(event["error"]?["message"]?.string)
            #expect(message.utf8.count == Limits.maxToolErrorBytes && message.hasSuffix("y […]"))
        }
    }
}
