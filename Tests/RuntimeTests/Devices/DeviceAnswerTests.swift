import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

@testable import Runtime

@Suite("Answers of devices")
struct DeviceAnswerTests {
    private let lab = DeviceSelector(labels: ["zone": "lab"])

    @Test("What policy denies by the time of dispatch never reaches a device")
    func gate() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment, policy: DeviceReplica.denyAll)
        let device = try await replica.makeDevice(scope)
        // The hub does not live here: no sweep of an allowing kind comes first.
        try await replica.connected(device) { (socket: TestSocket) async throws in
            let (_, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: DeviceSelector(deviceID: device.id))
            await replica.hub.dispatch(scope, calls.map(\.callID))
            let record = try await replica.call(scope, calls[0].callID)
            #expect(record.status == .denied)
            #expect(record.error?.string.contains("no_rule_matched") == true)
            #expect(socket.all("tool.call.request").isEmpty)
        }
    }

    @Test("A result counts only from the device that was asked")
    func notYours() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let (asked, other) = (try await replica.makeDevice(scope), try await replica.makeDevice(scope))
        try await replica.living {
            try await replica.connected(asked) { (socket: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: DeviceSelector(deviceID: asked.id))
                replica.hub.callsCommitted(scope, runID: run, calls: calls)
                _ = try await socket.next("tool.call.request")
                try await replica.connected(other) { (thief: TestSocket) async throws in
                    for call in [calls[0].callID, CallID.generate()] {
                        thief.answer(call)
                        #expect(try await thief.next("error")["code"]?.string == "not_your_call")
                        #expect(try await !thief.acknowledgement())
                    }
                }
                #expect(try await replica.call(scope, calls[0].callID).status == .dispatched)
            }
        }
    }

    @Test("Results for calls that it was not asked are answered, and too many of them close the socket with 4400")
    func strays() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.connected(device) { (socket: TestSocket) async throws in
            for _ in 0..<Limits.maxStrayResults {
                socket.answer(.generate())
                #expect(try await !socket.acknowledgement())
            }
            #expect(socket.closed == nil)
            // It gets one more a second; nobody sends so many so slowly.
            for _ in 0..<100_000 where socket.closed == nil {
                socket.answer(.generate())
                await Task.yield()
            }
            #expect(try await socket.closing() == .init(code: 4400, reason: "protocol_violation"))
        }
    }

    @Test("A message over the bound of messages ends its call, and is no violation; without a call it is one")
    func tooLarge() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
                replica.hub.callsCommitted(scope, runID: run, calls: calls)
                _ = try await socket.next("tool.call.request")
                for _ in 0..<DeviceHub.maxViolations {
                    socket.sendOversized(#"{"type":"tool.result","result":"xxxx","calls":""#)
                    #expect(try await socket.next("error")["code"]?.string == "frame_too_large")
                }
                socket.sendOversized(#"{"type":"tool.result","callId":"\#(calls[0].callID)","result":"xxxx"#)
                #expect(try await socket.next("error")["code"]?.string == "result_too_large")
                #expect(try await socket.acknowledgement())
                #expect(socket.closed == nil)
                let record = try await replica.call(scope, calls[0].callID)
                #expect(record.status == .failed)
                #expect(record.error?.string.contains("result_too_large") == true)
                socket.sendOversized("[]")
                #expect(try await socket.closing() == .init(code: 4400, reason: "protocol_violation"))
            }
        }
    }

    @Test("A result after the deadline is not applied")
    func late() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.connected(device) { (socket: TestSocket) async throws in
            let (_, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
            await replica.hub.dispatch(scope, calls.map(\.callID))
            _ = try await socket.next("tool.call.request")
            _ = try await environment.app.query(
                "UPDATE hsafa.tool_calls SET deadline_at = now() - interval '1 second' WHERE tenant_id = \(scope.tenantID)",
                scope: scope.tenantID.description)
            socket.answer(calls[0].callID)
            #expect(try await !socket.acknowledgement())
        }
    }

    @Test("Revoking a device closes its socket with 4403 and fails what it was asked")
    func revoke() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let (near, far) = (try DeviceReplica(environment), try DeviceReplica(environment))
        let device = try await near.makeDevice(scope)
        try await far.living {
            try await far.connected(device) { (socket: TestSocket) async throws in
                let (run, calls) = try await far.waitingRun(scope, tools: ["echo"], selector: lab)
                far.hub.callsCommitted(scope, runID: run, calls: calls)
                _ = try await socket.next("tool.call.request")
                try await near.devices.revoke(scope, device.id, by: .test)
                #expect(try await socket.closing() == .init(code: 4403, reason: "revoked"))
                let record = try await far.call(scope, calls[0].callID)
                #expect(record.status == .failed)
                #expect(record.error?.string.contains("device_revoked") == true)
                try await near.devices.revoke(scope, device.id, by: .test)
                await #expect { try await near.devices.revoke(scope, .generate(), by: .test) } throws: {
                    ($0 as? GatewayError)?.status == 404
                }
            }
        }
    }

    @Test("Two hundred calls of twenty runs are all answered once")
    func load() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                var open: Set<String> = []
                for _ in 0..<20 {
                    let (run, calls) = try await replica.waitingRun(scope, tools: Array(repeating: "echo", count: 10), selector: lab)
                    replica.hub.callsCommitted(scope, runID: run, calls: calls)
                    open.formUnion(calls.map(\.callID.description))
                }
                var applied = 0
                while !open.isEmpty {
                    let request = try await socket.next("tool.call.request")
                    let callID = try #require(request["callId"]?.string)
                    guard open.remove(callID) != nil else { continue }
                    socket.answer(try #require(CallID(callID)))
                }
                while applied < 200 { if try await socket.acknowledgement() { applied += 1 } }
                #expect(applied == 200)
            }
        }
    }
}
