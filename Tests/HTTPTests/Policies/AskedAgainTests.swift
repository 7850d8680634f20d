import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

/// Calls that left the gateway, or were read, before policy changed.
@Suite(.timeLimit(.minutes(3)))
struct AskedAgainTests {
    private static let never = "version: 1\nrules:\n  - id: never\n    effect: deny\n"
    private static let asks = "version: 1\nrules:\n  - id: person\n    effect: require_approval\n"

    private func decisions(_ tenant: TestTenant, _ run: String) async throws -> [String] {
        try await tenant.send("GET", "/api/audit?action=tool_call.decide").data().map { $0["details"] }
            .filter { $0?["runId"]?.string == run }.compactMap { $0?["decision"]?.string }
    }

    // MARK: Devices

    @Test(arguments: [never, asks])
    func `a call that policy does not let out any more is not sent again at reconnect, and the run goes on`(policy: String) async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        let device = try await tenant.device()
        let (run, call) = try await device.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            return (run, try #require(try await socket.next("tool.call.request")["callId"]?.string))
        }
        try policies.set(policy)
        try await device.connected(tenant.gateway) { socket async throws in
            // The first word about the call is that it is over, so that a device which had begun can stop.
            let first = try await socket.frame(ofEither: ["tool.call.request", "tool.call.cancel"])
            #expect(first["type"]?.string == "tool.call.cancel" && first["callId"]?.string == call)
            // What the device did all the same comes too late.
            try await socket.answer(call)
            #expect(try await !socket.isApplied())
        }
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "denied_by_policy")
        #expect(events.filter { $0.type == "tool.call.dispatched" }.count == 1)
        #expect(try await decisions(tenant, run) == ["deny", "allow"])
        #expect(try await tenant.send("GET", "/api/runs/\(run)/tool-calls").data().first?["attempts"]?.int == 1)
    }

    @Test func `a device whose list of tools was narrowed is not sent again what it was asked before`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        let (run, call) = try await device.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            return (run, try #require(try await socket.next("tool.call.request")["callId"]?.string))
        }
        let path = "/api/devices/\(device.id)"
        #expect(try await tenant.send("PATCH", path, #"{"allowedTools":["something.else"]}"#).status == 200)
        try await device.connected(tenant.gateway) { socket async throws in
            let first = try await socket.frame(ofEither: ["tool.call.request", "tool.call.cancel"])
            #expect(first["type"]?.string == "tool.call.cancel" && first["callId"]?.string == call)
            try await socket.answer(call)
            #expect(try await !socket.isApplied())
        }
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "device_not_allowed")
        #expect(try await decisions(tenant, run) == ["deny", "allow"])
    }

    @Test func `what a device was sent before its list was narrowed, it may answer`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        try await device.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            #expect(try await tenant.send("PATCH", "/api/devices/\(device.id)", #"{"allowedTools":["something.else"]}"#).status == 200)
            try await socket.answer(call)
            #expect(try await socket.isApplied())
            #expect(try await tenant.events(run).last?.type == "run.completed")
        }
    }

    // MARK: Tool clients

    @Test(arguments: [ToolTarget.browser, .external])
    func `an answer to a call that policy denies by now is not taken, and the call is denied`(target: ToolTarget) async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        let run = try await tenant.run("asker", steps: [Config.calls("ask"), Config.tellsResult], tools: [target.tool("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        try policies.set(Self.never)
        try await tenant.answer(run, call, #""smuggled""#).expectProblem(409, "denied_by_policy")
        #expect(try await tenant.answer(run, call, #""smuggled""#).json()["applied"]?.bool == false)
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.first { $0.type == "tool.call.denied" }?["reason"] == "denied_by_policy")
        #expect(!events.contains { $0.type == "tool.result.received" || $0.data.string.contains("smuggled") })
        #expect(try await decisions(tenant, run) == ["deny", "allow"])
    }

    @Test func `an answer to a call that wants a person by now waits for one`() async throws {
        let policies = try await PolicyGateway.running()
        let tenant = try await TestTenant.make(on: policies.gateway)
        let run = try await tenant.run("asker", steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        try policies.set(Self.asks)
        for _ in 0..<2 { try await tenant.answer(run, call, #""early""#).expectProblem(409, "approval_pending") }
        #expect(try await tenant.snapshot(run)["pendingCalls"]?.count == 0)
        #expect(try await tenant.approval(of: run).call == call)
        #expect(try await tenant.decide("approve", run, call).status == 200)
        #expect(try await tenant.answer(run, call, #""late""#).json()["applied"]?.bool == true)
        #expect(try await tenant.events(run).last { $0.type == "assistant.message" }?["text"] == #"It said "late""#)
        #expect(try await decisions(tenant, run) == ["require_approval", "allow"])
    }

    @Test(arguments: [ToolTarget.browser, .external])
    func `a held call is no work for tool clients before it is approved`(target: ToolTarget) async throws {
        let policies = try await PolicyGateway.running()
        try policies.set(Self.asks)
        let tenant = try await TestTenant.make(on: policies.gateway)
        let step = #"{"toolCalls":[{"name":"pay","arguments":{"amount":9000}}]}"#
        let run = try await tenant.run("asker", steps: [step, Config.tellsResult], tools: [target.tool("pay")])
        let call = try await tenant.approval(of: run).call
        #expect(try await tenant.snapshot(run)["pendingCalls"]?.count == 0)
        try await tenant.answer(run, call).expectProblem(409, "approval_pending")
        // What a tool client acts on: a request with arguments, or an approval.
        func work(_ events: [HsafaClient.Event]) throws -> [String] {
            try events.filter { $0.type == "tool.call.requested" || $0.type == "tool.call.approved" }
                .compactMap { try $0.json()["args"]?.rawJSON.string }
        }
        let held = try await tenant.events(run) { $0.type == "tool.call.approval_required" }
        #expect(try work(held).isEmpty)
        #expect(try held.first { $0.type == "tool.call.requested" }?.json()["held"]?.bool == true)
        #expect(try held.last?.json()["args"]?.rawJSON.string == #"{"amount":9000}"#)
        #expect(try await tenant.decide("approve", run, call).status == 200)
        let pending = try await tenant.snapshot(run)["pendingCalls"]
        #expect(pending?.count == 1 && pending?[0]?["args"]?.rawJSON.string == #"{"amount":9000}"#)
        #expect(try work(try await tenant.events(run) { $0.type == "tool.call.approved" }) == [#"{"amount":9000}"#])
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == true)
        #expect(try await tenant.events(run).last?.type == "run.completed")
    }
}
