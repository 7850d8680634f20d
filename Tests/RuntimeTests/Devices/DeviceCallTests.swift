import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

@testable import Runtime

@Suite("Calls to devices")
struct DeviceCallTests {
    private let lab = DeviceSelector(labels: ["zone": "lab"])

    @Test("A committed call reaches the device, and its result lets the run go on")
    func roundTrip() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
                replica.hub.callsCommitted(scope, runID: run, calls: calls)
                let request = try await socket.next("tool.call.request")
                #expect(request["runId"]?.string == run.description)
                #expect(request["callId"]?.string == calls[0].callID.description)
                #expect(request["tool"]?.string == "echo")
                #expect(request["args"]?["text"]?.string == "hi")
                #expect(request["attempt"]?.int == 1)
                let record = try await replica.call(scope, calls[0].callID)
                #expect(record.status == .dispatched)
                #expect(request["deadline"]?.string == record.deadlineAt.description)

                socket.answer(calls[0].callID, result: RawJSON("{ \"text\": \"a b\",\n \"n\": 1e400 }"))
                #expect(try await socket.acknowledgement())
                let done = try await replica.call(scope, calls[0].callID)
                #expect(done.status == .completed)
                #expect(done.source == .device)
                #expect(done.result?.string == "{\"text\":\"a b\",\"n\":1e400}")
                let state = try #require(try await environment.database.tenant(scope).fold(run))
                #expect(state.openCalls.isEmpty)
                #expect(state.status != .waitingTool)

                socket.answer(calls[0].callID, result: RawJSON("\"another\""))
                #expect(try await !socket.acknowledgement())
                #expect(try await replica.call(scope, calls[0].callID).result?.string == "{\"text\":\"a b\",\"n\":1e400}")
            }
        }
    }

    @Test("An error of the device is the call's outcome")
    func failure() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: DeviceSelector(deviceID: device.id))
                replica.hub.callsCommitted(scope, runID: run, calls: calls)
                _ = try await socket.next("tool.call.request")
                socket.send(
                    RawJSON.object { writer in
                        writer.field("type", string: "tool.result")
                        writer.field("callId", string: calls[0].callID.description)
                        writer.field("error", raw: RawJSON("{\"code\":\"no_paper\",\"message\":\"The printer is empty.\"}"))
                    })
                #expect(try await socket.acknowledgement())
                let record = try await replica.call(scope, calls[0].callID)
                #expect(record.status == .failed)
                #expect(record.error?.string == "{\"code\":\"no_paper\",\"message\":\"The printer is empty.\"}")
            }
        }
    }

    @Test("A call waits while nobody is online and goes out when its device registers")
    func waits() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let (wanted, other) = (try await replica.makeDevice(scope), try await replica.makeDevice(scope, tools: ["print"]))
        try await replica.living {
            try await replica.connected(other) { (bystander: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
                await replica.hub.dispatch(scope, calls.map(\.callID))
                #expect(try await replica.call(scope, calls[0].callID).status == .requested)
                try await replica.connected(wanted) { (socket: TestSocket) async throws in
                    #expect(try await socket.next("tool.call.request")["runId"]?.string == run.description)
                }
                #expect(bystander.all("tool.call.request").isEmpty)
            }
        }
    }

    @Test("The sweep finds a call that nobody dispatched")
    func sweepsWaiting() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                // Committed by a process that died before it dispatched.
                let (run, _) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
                #expect(try await socket.next("tool.call.request")["runId"]?.string == run.description)
            }
        }
    }

    @Test("A dispatched call whose notice was lost is found missing and sent")
    func sweepsDispatched() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            try await replica.connected(device) { (socket: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
                // As another replica does it, whose word never arrives.
                _ = try await replica.runs.decide(scope, run) { RunMachine.dispatch(calls[0].callID, to: device.id, in: $0) }
                #expect(try await socket.next("tool.call.request")["callId"]?.string == calls[0].callID.description)
            }
        }
    }

    @Test("An unanswered call is sent again at reconnect, under the same callId and the next attempt")
    func repeats() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope)
        try await replica.living {
            let callID = try await replica.connected(device) { (socket: TestSocket) async throws in
                let (run, calls) = try await replica.waitingRun(scope, tools: ["echo"], selector: lab)
                replica.hub.callsCommitted(scope, runID: run, calls: calls)
                _ = try await socket.next("tool.call.request")
                return calls[0].callID
            }
            try await replica.connected(device) { (socket: TestSocket) async throws in
                let request = try await socket.next("tool.call.request")
                #expect(request["callId"]?.string == callID.description)
                #expect(request["attempt"]?.int == 2)
                socket.answer(callID)
                #expect(try await socket.acknowledgement())
                #expect(socket.all("tool.call.request").isEmpty)
            }
        }
    }

    @Test("A call that one replica dispatches arrives at the socket of another, and so does its cancel")
    func acrossReplicas() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let (near, far) = (try DeviceReplica(environment), try DeviceReplica(environment))
        let device = try await near.makeDevice(scope)
        try await near.living {
            try await far.living {
                try await far.connected(device) { (socket: TestSocket) async throws in
                    let (run, calls) = try await near.waitingRun(scope, tools: ["echo"], selector: lab)
                    near.hub.callsCommitted(scope, runID: run, calls: calls)
                    _ = try await socket.next("tool.call.request")
                    _ = try await near.runs.cancel(scope, run, reason: "enough", by: .test)
                    #expect(try await socket.next("tool.call.cancel")["callId"]?.string == calls[0].callID.description)
                    socket.answer(calls[0].callID)
                    #expect(try await !socket.acknowledgement())
                }
            }
        }
    }

    @Test("The calls of a step spread over the devices that could take them")
    func leastBusy() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        // Alone, and without a sweep: two who dispatch the same calls at once may weigh devices alike.
        let replica = try DeviceReplica(environment, isSweeping: false)
        let (one, two) = (try await replica.makeDevice(scope), try await replica.makeDevice(scope))
        try await replica.living {
            try await replica.connected(one) { (first: TestSocket) async throws in
                try await replica.connected(two) { (second: TestSocket) async throws in
                    let (run, calls) = try await replica.waitingRun(
                        scope, tools: Array(repeating: "echo", count: 6), selector: lab)
                    replica.hub.callsCommitted(scope, runID: run, calls: calls)
                    #expect(
                        await eventually {
                            first.all("tool.call.request").count == 3 && second.all("tool.call.request").count == 3
                        })
                }
            }
        }
    }

    @Test("A call goes only to a device that is named, claims the tool and may have it")
    func candidates() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let stranger = try await environment.makeTenant()
        let replica = try DeviceReplica(environment)
        let device = try await replica.makeDevice(scope, tools: ["echo", "print"])
        let foreign = try await replica.makeDevice(stranger, tools: ["echo", "print"])
        _ = try await replica.devices.update(scope, device.id, displayName: nil, labels: nil, allowedTools: ["ec*"], by: .test)
        try await replica.living {
            try await replica.connected(foreign) { (other: TestSocket) async throws in
                try await replica.connected(device) { (socket: TestSocket) async throws in
                    let refused: [(String, DeviceSelector)] = [
                        ("print", lab), ("delete", lab), ("echo", DeviceSelector(labels: ["zone": "office"])),
                        ("echo", DeviceSelector(deviceKey: "someone-else")), ("echo", DeviceSelector(deviceID: foreign.id)),
                    ]
                    for (tool, selector) in refused {
                        let (_, calls) = try await replica.waitingRun(scope, tools: [tool], selector: selector)
                        await replica.hub.dispatch(scope, calls.map(\.callID))
                        #expect(try await replica.call(scope, calls[0].callID).status == .requested, "\(tool) \(selector)")
                    }
                    let key = try await replica.devices.get(scope, device.id).deviceKey
                    let (_, calls) = try await replica.waitingRun(
                        scope, tools: ["echo"], selector: DeviceSelector(deviceID: device.id, deviceKey: key, labels: ["zone": "lab"]))
                    await replica.hub.dispatch(scope, calls.map(\.callID))
                    #expect(try await replica.call(scope, calls[0].callID).deviceID == device.id)
                    #expect(try await socket.next("tool.call.request")["tool"]?.string == "echo")
                    #expect(other.all("tool.call.request").isEmpty)
                }
            }
        }
    }
}
