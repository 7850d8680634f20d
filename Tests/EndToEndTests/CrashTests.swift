import Cryptography
import Foundation
import HsafaClient
import JSON
import Storage
import Synchronization
import TestSupport
import Testing

/// Kills and restarts of the real binary. One database for each test: gateways on one database take each other's runs.
@Suite(.serialized) struct CrashTests {
    @Test func killingTheGatewayInTheMiddleOfAStreamLosesNoEvent() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        try await gateway.withClient(key: key) { client in
            _ = try await client.agents.create(name: "streamer", config: Scripts.streaming(name: "streamer", words: 600))
            let run = try await client.runs.create(agent: .name("streamer"), messages: [.user("go")])
            var seqs: [Int] = []
            var types: [String] = []
            var beginnings = 0
            var kills = 0
            for try await event in client.runs.stream(run.runId) {
                seqs.append(event.seq)
                types.append(event.type)
                if event.type == "step.started" || event.type == "step.restarted" { beginnings += 1 }
                // In the middle of the sentence, which takes 12 s, of the first beginning and of the second; the stream below reconnects
                // by itself with its last id.
                if event.type == "assistant.delta", kills < 2, beginnings > kills {
                    kills += 1
                    gateway.kill9()
                    try await gateway.start()
                }
            }
            #expect(kills == 2)
            #expect(seqs == Array(1...seqs.count), "every seq once, in order")
            #expect(types.last == "run.completed")
            #expect(types.contains("run.resumed") && types.contains("step.restarted"))
            let stored = try await client.runs.events(run.runId, after: 0, limit: 1000)
            #expect(stored.items.map(\.seq) == seqs, "what was seen is what is stored")
            let message = try #require(stored.items.last { $0.type == "assistant.message" })
            let text = try message.data.document().root["text"]?.string ?? ""
            #expect(text.split(separator: " ").count == 600, "the step that was cut was made whole again")
        }
        #expect(gateway.terminate() == 0)
    }

    @Test func killingTheGatewayInTheMiddleOfADeviceCallCostsNothing() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        try await gateway.withClient(key: key) { client in
            let token = try await client.enrollmentTokens.create(labels: [("zone", "test")], autoApprove: true)
            let deviceKey = try DeviceKey()
            SuiteLog.noteSecret(Base64URL.encode(deviceKey.privateKey.rawRepresentation))
            let enrolled = try await client.devices.enroll(
                token: try EnrollmentToken(token.token), audience: token.audience, key: deviceKey, deviceKey: "laptop-1")
            #expect(enrolled.status == "active")
            _ = try await client.agents.create(name: "reader", config: Scripts.deviceTool(name: "reader"))
            // The device holds its first answer back until the gateway was killed and is there again.
            let (started, startedSignal) = AsyncStream.makeStream(of: String.self)
            let (released, release) = AsyncStream.makeStream(of: Void.self)
            let executions = Mutex(0)
            var options = try DeviceConnection.Options().heldToContract()
            options.backOff = BackOff(initialMilliseconds: 50, maximumMilliseconds: 500)
            let device = DeviceConnection(
                gatewayURL: gateway.url,
                identity: .init(deviceId: enrolled.deviceId, key: deviceKey, audience: enrolled.audience),
                tools: [DeviceTool(name: "fs.read", inputSchema: RawJSON(#"{"type":"object"}"#))], outcomes: try OutcomeStore(),
                options: options
            ) { call in
                executions.withLock { $0 += 1 }
                startedSignal.yield(call.callId)
                for await _ in released { break }
                return .result(RawJSON(#"{"content":"line one"}"#))
            }
            let connection = Task { try await device.run() }
            defer { connection.cancel() }
            let run = try await client.runs.create(agent: .name("reader"), messages: [.user("read")])
            // It watches from the beginning, over the kill, and resumes with its last id.
            let (asked, askedSignal) = AsyncStream.makeStream(of: Void.self)
            let watcher = Task {
                var events: [(seq: Int, type: String)] = []
                for try await event in client.runs.stream(run.runId) {
                    events.append((event.seq, event.type))
                    if event.type == "tool.call.dispatched" { askedSignal.finish() }
                }
                return events
            }
            var startedCalls = started.makeAsyncIterator()
            let call = await startedCalls.next()
            #expect(call != nil)
            for await _ in asked {}
            gateway.kill9()
            try await gateway.start()
            release.finish()
            let events = try await watcher.value
            let seqs = events.map(\.seq)
            let types = events.map(\.type)
            #expect(seqs == Array(1...seqs.count))
            #expect(types.last == "run.completed")
            #expect(types.filter { $0 == "tool.result.received" }.count == 1)
            #expect(types.filter { $0 == "tool.call.requested" }.count == 1, "a complete message is never asked for again")
            #expect(executions.withLock { $0 } == 1, "the call kept its id, and the device knew it")
        }
        #expect(gateway.terminate() == 0)
    }

    @Test func sigtermHandsARunBackAndAnotherProcessFinishesIt() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        // A lease that no busy machine outlasts: the second takes the run over because it is handed over, and for no other reason.
        let settings = ["RUN_LEASE_SECONDS": "600"]
        let first = try GatewayProcess(environment, settings: settings)
        let second = try GatewayProcess(environment, settings: settings)
        try await first.start()
        let runID = try await first.withClient(key: key) { client in
            _ = try await client.agents.create(name: "long", config: Scripts.streaming(name: "long", words: 1500))
            let run = try await client.runs.create(agent: .name("long"), messages: [.user("go")])
            var deltas = 0
            for try await event in client.runs.stream(run.runId) where event.type == "assistant.delta" {
                deltas += 1
                if deltas == 5 { break }
            }
            return run.runId
        }
        // 1500 words take 30 s: more than the grace, so the step is cut and the run handed back.
        #expect(first.terminate() == 0, "a graceful end exits with 0")
        try await second.start()
        try await second.withClient(key: key) { client in
            var seqs: [Int] = []
            var last = ""
            var reasons: [String] = []
            for try await event in client.runs.stream(runID) {
                seqs.append(event.seq)
                last = event.type
                if event.type == "run.resumed" { reasons.append(try event.data.document().root["reason"]?.string ?? "") }
            }
            #expect(seqs == Array(1...seqs.count))
            #expect(last == "run.completed")
            #expect(reasons == ["handed_over"])
        }
        #expect(second.terminate() == 0)
    }
}
