import JSON

/// One run, thousands of watchers; floor: a bare NIO server that writes the same bytes to as many sockets.
enum FanOutRow {
    static let seconds = 6

    static func measure(_ bench: Bench) throws {
        for (watchers, rate) in [(1000, 20), (1000, 100), (5000, 4)] {
            let (server, api) = try bench.startGateway()
            defer { server.stop() }
            let gateway = try gateway(bench, server, api, watchers: watchers, rate: rate)
            let bare = try Server(
                bench.poller, binary: CommandLine.arguments[0], arguments: ["bare-server"], readyPath: "/health",
                log: bench.logs + "/bare-server.log")
            defer { bare.stop() }
            let floor = try floor(bench, bare, watchers: watchers, rate: rate, eventBytes: gateway.eventBytes)
            let ratio = gateway.cpu / floor.cpu
            // A server that falls behind writes more events at once, so its CPU an event is not that of the load that was asked for.
            let load = 0.95 * Double(watchers * rate)
            let (keptUp, floorKeptUp) = (gateway.perSecond >= load, floor.perSecond >= load)
            bench.report.add(
                Row(
                    work: "fan-out, \(Double(watchers).text(0)) watchers × \(rate)/s",
                    figure: "\(gateway.cpu.text(1)) µs CPU a delivered event, \(gateway.perSecond.text(0)) /s",
                    floor:
                        "\(floor.cpu.text(1)) µs, \(floor.perSecond.text(0)) /s, p50 \(floor.samples.p50.text(1)) ms, p99 \(floor.samples.p99.text(1)) ms",
                    ratio: keptUp && floorKeptUp ? ratio : nil,
                    cpu: gateway.cpu.text(1), p50: gateway.samples.p50, p99: gateway.samples.p99,
                    memory: "\(gateway.kiBPerWatcher.text(1)) KiB a watcher (floor \(floor.kiBPerWatcher.text(1)))",
                    targets: [
                        ("≥ 95 % of the load", keptUp), ("CPU ≤ 1.2 × floor", keptUp && floorKeptUp && ratio <= 1.2),
                        ("≤ 8 µs", keptUp && gateway.cpu <= 8),
                        ("nothing dropped (\(gateway.dropped))", gateway.dropped == 0), ("≤ 14 KiB a watcher", gateway.kiBPerWatcher <= 14),
                    ]))
        }
    }

    private struct Result {
        var cpu = 0.0
        /// Below watchers × rate where deltas were merged or the server fell behind: then CPU an event flatters it.
        var perSecond = 0.0
        var samples = Samples()
        var dropped: Int64 = 0
        var kiBPerWatcher = 0.0
        var eventBytes = 0
    }

    /// The run waits for an external tool until every watcher is there; the tool's result starts the deltas.
    private static func gateway(_ bench: Bench, _ server: Server, _ api: API, watchers: Int, rate: Int) throws -> Result {
        let count = rate * seconds
        let agent = try api.makeAgent(
            "fan-out-\(watchers)-\(rate)",
            steps: """
                [{"toolCalls":[{"name":"start"}]},{"delayMilliseconds":\(1000.0 / Double(rate)),"deltas":{"count":\(count),"text":"tok en "}}]
                """, tools: #"[{"name":"start","target":"external"}]"#)
        let run = try api.makeRun(agent)
        var callID: String?
        try bench.poller.run("a run that waits for a tool", seconds: 10) {
            callID = (try? api.call("GET", "/api/runs/\(run)"))?["pendingCalls"]?[0]?["callId"]?.string
            return callID != nil
        }
        return try measure(bench, server, watchers: watchers, count: count, path: "/api/runs/\(run)/stream") {
            _ = try api.call("POST", "/api/runs/\(run)/tool-results", "{\"callId\":\"\(callID ?? "")\",\"result\":true}")
        }
    }

    private static func floor(_ bench: Bench, _ server: Server, watchers: Int, rate: Int, eventBytes: Int) throws -> Result {
        let api = API(poller: bench.poller, port: server.port, key: "")
        return try measure(bench, server, watchers: watchers, count: rate * seconds, path: "/stream") {
            _ = try api.call("GET", "/go?rate=\(rate)&count=\(rate * seconds)&bytes=\(eventBytes)")
        }
    }

    private static func measure(
        _ bench: Bench, _ server: Server, watchers count: Int, count events: Int, path: String, start: () throws -> Void
    ) throws -> Result {
        var result = Result()
        var delivered = 0
        var isMeasuring = false
        var watchers: [Watcher] = []
        defer { for watcher in watchers { watcher.disconnect() } }
        let memory = server.residentKiB
        var deltas = 0
        try Crowd.attach(bench, server, count, path, into: &watchers) { _, event in
            guard let stamp = event.stampNanoseconds else { return }
            deltas += 1
            result.eventBytes = event.bytes.count
            guard isMeasuring else { return }
            delivered += 1
            result.samples.add(event.receivedAt - stamp)
        }
        result.kiBPerWatcher = Double(server.residentKiB - memory) / Double(count)
        try start()
        bench.poller.run(for: 1)
        isMeasuring = true
        let before = server.cpuMicroseconds
        let began = Clock.monotonic()
        bench.poller.run(for: Double(seconds) - 2)
        let after = server.cpuMicroseconds
        let elapsed = Clock.monotonic() - began
        isMeasuring = false
        // Deltas that waited for one append are merged, so the gateway may end with fewer events; a hole in seq is a drop.
        let isGateway = path != "/stream"
        try bench.poller.run("the fan-out's end", seconds: 30) {
            isGateway ? watchers.allSatisfy(\.isOver) : deltas >= events * count
        }
        result.dropped = watchers.reduce(0) { $0 + $1.missing }
        let last = watchers.map(\.lastSeq).max() ?? 0
        result.dropped += watchers.reduce(0) { $0 + last - $1.lastSeq }
        result.perSecond = Double(delivered) / (Double(elapsed) / 1e9)
        result.cpu = (after - before) / Double(max(delivered, 1))
        return result
    }
}

/// Many watchers of one stream.
enum Crowd {
    /// In waves, so that the listener's backlog is not what is measured.
    static func attach(
        _ bench: Bench, _ server: Server, _ count: Int, _ path: String, into watchers: inout [Watcher],
        _ onEvent: @escaping (Watcher, StreamEvent) -> Void
    ) throws {
        while watchers.count < count {
            let wave = try (0..<min(250, count - watchers.count)).map { _ in
                try Watcher(bench.poller, port: server.port, path: path, key: bench.key, onEvent)
            }
            try bench.poller.run("attaching \(count) watchers (\(watchers.count) are)", seconds: 20) {
                wave.allSatisfy { $0.isAttached || $0.isRefused }
            }
            guard wave.allSatisfy(\.isAttached) else {
                throw BenchError("the server refused or closed a stream at \(watchers.count) watchers")
            }
            watchers += wave
        }
    }
}
