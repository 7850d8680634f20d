import JSON

/// From the answer to a key's revocation on one gateway to the first 401 on another, and to the end of the key's stream there. There is
/// nothing to stand beside: the floor of a message is far below the target, that of the poll is the target.
enum RevokeRow {
    static func measure(_ bench: Bench) throws {
        try measure(bench, "heard by message", rounds: 20, settings: [:], bound: 1)
        // Nobody listens on port 1: what is left is the look at Postgres every 5 s.
        try measure(bench, "without Redis", rounds: 5, settings: ["REDIS_URL": "redis://127.0.0.1:1"], bound: 6)
    }

    private static func measure(_ bench: Bench, _ road: String, rounds: Int, settings: [String: String], bound: Double) throws {
        let (first, here) = try bench.startGateway(settings)
        defer { first.stop() }
        let (second, there) = try bench.startGateway(settings)
        defer { second.stop() }
        let agent = try here.makeAgent("revoke-\(rounds)", steps: #"[{"deltas":{"count":2,"text":"x"},"delayMilliseconds":60000}]"#)
        let run = try here.makeRun(agent)
        var refused = Samples()
        var ended = Samples()
        for _ in 0..<rounds {
            let issued = try here.call("POST", "/api/keys", #"{"name":"for a moment","scopes":["runs:read"]}"#)
            guard let id = issued["keyId"]?.string, let key = issued["key"]?.string else { throw BenchError("no key was issued") }
            let other = API(poller: there.poller, port: there.port, key: key)
            _ = try other.call("GET", "/api/runs/\(run)")
            let stream = try HTTPConnection(bench.poller, port: there.port)
            defer { stream.disconnect() }
            var streamEnd: Int64?
            stream.request("GET", "/api/runs/\(run)/stream", key: key) { _, _ in streamEnd = Clock.monotonic() }
            bench.poller.run(for: 0.05)
            guard streamEnd == nil else { throw BenchError("the stream ended before its key") }
            try revoke(bench, here, id)
            let start = Clock.monotonic()
            let asking = try HTTPConnection(bench.poller, port: there.port)
            defer { asking.disconnect() }
            var status = 200
            while status == 200 {
                var answer: Int?
                asking.request("GET", "/api/runs/\(run)", key: key) { code, _ in answer = code }
                try bench.poller.run("GET with a revoked key", seconds: 15) { answer != nil }
                status = answer ?? 0
                guard Clock.monotonic() - start < 30_000_000_000 else { throw BenchError("a revoked key still opens after 30 s") }
            }
            guard status == 401 else { throw BenchError("a revoked key got \(status)") }
            refused.add(Clock.monotonic() - start)
            try bench.poller.run("the end of the stream", seconds: 30) { streamEnd != nil }
            ended.add(max(0, (streamEnd ?? start) - start))
        }
        let worst = max(refused.percentile(1), ended.percentile(1))
        bench.report.add(
            Row(
                work: "a revoked key at another gateway, \(road)",
                figure:
                    "refused after \(refused.percentile(1).text(1)) ms, its stream ended after \(ended.percentile(1).text(1)) ms, at worst",
                p50: refused.p50, p99: refused.p99, targets: [("≤ \(bound.text(0)) s", worst <= bound * 1000)]))
    }

    private static func revoke(_ bench: Bench, _ api: API, _ id: String) throws {
        let connection = try HTTPConnection(bench.poller, port: api.port)
        defer { connection.disconnect() }
        var status: Int?
        connection.request("DELETE", "/api/keys/\(id)", key: api.key) { code, _ in status = code }
        try bench.poller.run("DELETE of a key", seconds: 15) { status != nil }
        guard status == 204 else { throw BenchError("DELETE of a key: \(status ?? 0)") }
    }
}
