import Domain

/// A tool call to a device and back; floor: two commits and one publish, alone.
enum DeviceRow {
    static let rounds = 90

    static func measure(_ bench: Bench) async throws {
        let floor = try await bench.stores.commitAndPublish(commits: 2, rounds: 300)
        let (server, api) = try bench.startGateway()
        defer { server.stop() }
        var requestedAt: [String: Int64] = [:]
        var answeredAt: Int64?
        var toDevice = Samples()
        var toResumed = Samples()
        var seenAtDevice: [(callID: String, time: Int64)] = []
        let device = try Device.enrolled(api) { device, callID, time in
            seenAtDevice.append((callID, time))
            device.answer(callID)
            answeredAt = Clock.realtime()
        }
        defer { device.disconnect() }
        try bench.poller.run("the device's registration", seconds: 10) { device.isRegistered || device.failure != nil }
        if let failure = device.failure { throw BenchError(failure) }
        let step = #"{"toolCalls":[{"name":"uname"}]}"#
        let agent = try api.makeAgent(
            "device", steps: "[" + Array(repeating: step, count: rounds).joined(separator: ",") + "]", maxSteps: 100,
            tools: #"[{"name":"uname","target":"device","device":{"labels":{"zone":"bench"}}}]"#)
        let before = bench.cpu(server)
        let run = try api.makeRun(agent)
        let watcher = try Watcher(bench.poller, port: server.port, path: "/api/runs/\(run)/stream", key: bench.key) { _, event in
            if event.isType("tool.call.requested"), let callID = event.string("\"callId\":\"", length: 36),
                let text = event.string("\"ts\":\"", length: 24), let time = Timestamp(rfc3339: text)
            {
                requestedAt[callID] = time.millisecondsSinceUnixEpoch * 1_000_000
            } else if event.isType("run.resumed"), let sent = answeredAt {
                toResumed.add(event.receivedAt - sent)
            }
        }
        try bench.poller.run("\(rounds) device calls", seconds: 40) { watcher.isOver || device.failure != nil }
        if let failure = device.failure { throw BenchError(failure) }
        let after = bench.cpu(server)
        for (callID, time) in seenAtDevice { if let requested = requestedAt[callID] { toDevice.add(time - requested) } }
        guard toDevice.count == rounds, toResumed.count == rounds else {
            throw BenchError("\(toDevice.count) calls and \(toResumed.count) resumptions of \(rounds) were seen")
        }
        let cpu = (after.gateway - before.gateway) / Double(rounds)
        for (work, samples) in [
            ("device tool: requested → frame at the device", toDevice), ("device tool: result sent → run.resumed at a watcher", toResumed),
        ] {
            bench.report.add(
                Row(
                    work: work, figure: "p95 \(samples.p95.text(2)) ms", floor: "p50 \(floor.p50.text(2)) ms, p95 \(floor.p95.text(2)) ms",
                    ratio: samples.p50 / floor.p50, cpu: "\(cpu.text(0)) a round trip", p50: samples.p50, p99: samples.p99,
                    targets: [("p95 ≤ 5 ms", samples.p95 <= 5)]))
        }
    }
}
