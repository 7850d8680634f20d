/// One delta, from the model to its watcher's socket; floor: one commit and one publish, alone.
enum DeltaRow {
    static let seconds = 8

    static func measure(_ bench: Bench) async throws {
        let floor = try await bench.stores.commitAndPublish(commits: 1, rounds: 500)
        for (runs, rate) in [(200, 20), (100, 50)] { try measure(bench, runs: runs, rate: rate, floor: floor) }
    }

    private static func measure(_ bench: Bench, runs: Int, rate: Int, floor: Samples) throws {
        let (server, api) = try bench.startGateway()
        defer { server.stop() }
        let agent = try api.makeAgent(
            "delta-\(runs)",
            steps: """
                [{"initialDelayMilliseconds":1500,"delayMilliseconds":\(1000.0 / Double(rate)),"deltas":{"count":\(rate * seconds),"text":"tok en "}}]
                """)
        var samples = Samples()
        var isMeasuring = false
        var delivered = 0
        var watchers: [Watcher] = []
        defer { for watcher in watchers { watcher.disconnect() } }
        for _ in 0..<runs {
            let run = try api.makeRun(agent)
            watchers.append(
                try Watcher(bench.poller, port: server.port, path: "/api/runs/\(run)/stream", key: bench.key) { _, event in
                    guard isMeasuring, let stamp = event.stampNanoseconds else { return }
                    delivered += 1
                    samples.add(event.receivedAt - stamp)
                })
        }
        try bench.poller.run("attaching \(runs) watchers", seconds: 15) { watchers.allSatisfy(\.isAttached) }
        // Past the first deltas, and before the last.
        bench.poller.run(for: 2.5)
        isMeasuring = true
        let before = bench.cpu(server)
        let began = Clock.monotonic()
        bench.poller.run(for: Double(seconds) - 3.5)
        let after = bench.cpu(server)
        let elapsed = Clock.monotonic() - began
        isMeasuring = false
        try bench.poller.run("\(runs) runs of \(seconds) s", seconds: 30) { watchers.allSatisfy(\.isOver) }
        let missing = watchers.reduce(0) { $0 + $1.missing }
        guard missing == 0 else { throw BenchError("\(missing) events never came") }
        let cpu = (after.gateway - before.gateway) / Double(max(delivered, 1))
        let postgres = (after.postgres - before.postgres) / Double(max(delivered, 1))
        let redis = (after.redis - before.redis) / Double(max(delivered, 1))
        // Below runs × rate where deltas had to wait and were merged.
        let rateSeen = Double(delivered) / (Double(elapsed) / 1e9)
        // Delays under a part of the load are no answer to the question: then nothing counts as met.
        let isLoaded = rateSeen >= 0.95 * Double(runs * rate)
        let over = samples.p50 - floor.p50
        bench.report.add(
            Row(
                work: "a delta, model → watcher, \(runs) runs × \(rate)/s",
                figure: "p50 \(samples.p50.text(2)) ms, \(rateSeen.text(0)) events/s",
                floor: "p50 \(floor.p50.text(2)) ms", ratio: samples.p50 / floor.p50,
                cpu: "\(cpu.text(1)) (Postgres \(postgres.text(1)), Redis \(redis.text(1)))", p50: samples.p50, p99: samples.p99,
                targets: [
                    ("≥ 95 % of the load", isLoaded), ("p50 ≤ floor + 1 ms", isLoaded && over <= 1),
                    ("p99 ≤ 8 ms", isLoaded && samples.p99 <= 8), ("CPU ≤ 40 µs", isLoaded && cpu <= 40),
                ]))
    }
}
