import Domain
import HsafaClient
import JSON
import Testing

/// Calls that devices answer over their sockets.
@Suite(.timeLimit(.minutes(5)))
struct DeviceCallTests {
    @Test func `a device is asked, answers once, and the run goes on`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        try await device.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            let request = try await socket.next("tool.call.request")
            let call = try #require(request["callId"]?.string)
            #expect(request["runId"]?.string == run)
            #expect(request["tool"]?.string == "fs.read")
            #expect(request["args"]?.rawJSON.string == #"{"path":"a"}"#)
            #expect(request["attempt"]?.int == 1)
            #expect(request["deadline"]?.string.flatMap { Timestamp(rfc3339: $0) } ?? .now() > .now())
            // Larger than a frame may be before registration.
            let text = String(repeating: "x", count: Limits.maxFrameBytesBeforeRegistration + 1)
            try await socket.answer(call, #""\#(text)""#)
            #expect(try await socket.isApplied())
            try await socket.answer(call, #""another""#)
            #expect(try await !socket.isApplied())
            let events = try await tenant.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(events.first { $0.type == "tool.call.dispatched" }?["deviceId"] == device.id)
            let results = events.filter { $0.type == "tool.result.received" }
            #expect(results.count == 1)
            #expect(results.first?["source"] == "device")
            #expect(results.first?["result"] == text)
        }
    }

    @Test func `a call waits for its device, and an error of the device goes to the model`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        let run = try await tenant.deviceRun()
        let waiting = try #require(try await tenant.pendingCalls(run).first)
        #expect(waiting["status"]?.string == "requested")
        try await device.connected(tenant.gateway) { socket async throws in
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            #expect(call == waiting["callId"]?.string)
            try await socket.send(#"{"type":"tool.result","callId":"\#(call)","error":{"code":"gone","message":"No such file."}}"#)
            #expect(try await socket.isApplied())
        }
        let events = try await tenant.events(run)
        #expect(events.last?.type == "run.completed")
        #expect(events.last { $0.type == "assistant.message" }?["text"]?.contains("No such file.") == true)
    }

    @Test func `what has no result is sent again at reconnect, with the same call id`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        let (run, call) = try await device.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            return (run, try #require(try await socket.next("tool.call.request")["callId"]?.string))
        }
        try await device.connected(tenant.gateway) { socket async throws in
            let request = try await socket.next("tool.call.request")
            #expect(request["callId"]?.string == call)
            #expect(request["runId"]?.string == run)
            #expect(request["attempt"]?.int == 2)
            try await socket.answer(call)
            #expect(try await socket.isApplied())
        }
        #expect(try await tenant.events(run).last?.type == "run.completed")
        // A result that comes after all was done does no harm.
        try await device.connected(tenant.gateway) { socket async throws in
            try await socket.answer(call, #""late""#)
            #expect(try await !socket.isApplied())
        }
    }

    @Test func `a result of a device that was not asked does not count`() async throws {
        let tenant = try await TestTenant.make()
        let (asked, other) = (try await tenant.device("asked"), try await tenant.device("other"))
        try await asked.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            try await other.connected(tenant.gateway) { intruder async throws in
                for id in [call, unknownID(), "nonsense"] {
                    try await intruder.answer(id, #""mine""#)
                    #expect(try await intruder.next("error")["code"]?.string == "not_your_call")
                    #expect(try await !intruder.isApplied())
                }
            }
            #expect(try await tenant.snapshot(run)["status"]?.string == "waiting_tool")
            try await socket.answer(call, #""right""#)
            #expect(try await socket.isApplied())
            #expect(try await tenant.events(run).last { $0.type == "assistant.message" }?["text"] == #"It said "right""#)
        }
    }

    @Test func `a device hears that a call of its is over`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.device().connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").string("status") == "canceled")
            let cancel = try await socket.next("tool.call.cancel")
            #expect(cancel["callId"]?.string == call)
            #expect(cancel["reason"]?.string == "run_ended")
            try await socket.answer(call)
            #expect(try await !socket.isApplied())
        }
    }

    @Test func `a device of another tenant is never asked`() async throws {
        let (tenant, stranger) = (try await TestTenant.make(), try await TestTenant.make())
        let device = try await tenant.device()
        try await stranger.device().connected(tenant.gateway) { foreign async throws in
            let run = try await tenant.deviceRun()
            _ = try await tenant.pendingCalls(run)
            try await device.connected(tenant.gateway) { socket async throws in
                let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
                // With the right id even: it is not there for another tenant.
                try await foreign.answer(call, #""stolen""#)
                #expect(try await foreign.next("error")["code"]?.string == "not_your_call")
                try await socket.answer(call)
                #expect(try await socket.isApplied())
            }
            #expect(try await tenant.events(run).last { $0.type == "assistant.message" }?["text"] == #"It said "ok""#)
        }
    }
}
