/// What a gateway costs that does nothing: memory, start-up, and watchers of a run that waits.
enum IdleRow {
    static let watchers = 10_000

    static func measure(_ bench: Bench) throws {
        let (first, _) = try bench.startGateway()
        first.stop()
        // The second start finds the binary in the page cache, as a restart does.
        let (server, api) = try bench.startGateway()
        defer { server.stop() }
        bench.poller.run(for: 1)
        let idle = server.residentKiB
        let megabytes = Double(idle) / 1024
        bench.report.add(
            Row(
                work: "idle gateway", figure: "ready in \(server.startMilliseconds.text(0)) ms", memory: "\(megabytes.text(1)) MiB",
                targets: [("≤ 300 ms", server.startMilliseconds <= 300), ("≤ 60 MB", megabytes <= 60)]))
        let agent = try api.makeAgent("idle", steps: #"[{"initialDelayMilliseconds":60000,"text":"Done."}]"#)
        let run = try api.makeRun(agent)
        var crowd: [Watcher] = []
        defer { for watcher in crowd { watcher.disconnect() } }
        let start = Clock.monotonic()
        try Crowd.attach(bench, server, watchers, "/api/runs/\(run)/stream", into: &crowd) { _, _ in }
        let rate = Double(watchers) / (Double(Clock.monotonic() - start) / 1e9)
        bench.poller.run(for: 0.5)
        let cpu = server.cpuMicroseconds
        bench.poller.run(for: 3)
        let share = (server.cpuMicroseconds - cpu) / 3e6 * 100
        let each = Double(server.residentKiB - idle) / Double(watchers)
        bench.report.add(
            Row(
                work: "10,000 idle watchers", figure: "attached at \(rate.text(0)) /s; \(share.text(1)) % of a core while idle",
                memory: "\(each.text(1)) KiB each", targets: [("≤ 20 KB each", each <= 20)]))
        _ = try api.call("POST", "/api/runs/\(run)/cancel")
        try bench.poller.run("the end of 10,000 streams", seconds: 20) { crowd.allSatisfy(\.isOver) }
    }
}
