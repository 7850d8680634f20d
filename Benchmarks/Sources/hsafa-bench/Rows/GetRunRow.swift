/// GET of a run over 32 kept connections; floor: `GET /health` of the same server.
enum GetRunRow {
    static let seconds = 5

    static func measure(_ bench: Bench) throws {
        let (server, api) = try bench.startGateway()
        defer { server.stop() }
        let run = try api.makeRun(try api.makeAgent("get-run", steps: #"[{"text":"Hello."}]"#))
        let url = "http://127.0.0.1:\(server.port)"
        _ = try load(url + "/api/runs/\(run)", key: bench.key, seconds: 1)
        let floor = try load(url + "/health", key: nil, seconds: seconds)
        let before = bench.cpu(server)
        let got = try load(url + "/api/runs/\(run)", key: bench.key, seconds: seconds)
        let after = bench.cpu(server)
        guard got.failures == 0 else { throw BenchError("\(got.failures) answers of GET /api/runs/{runId} were no success") }
        let cpu = (after.gateway - before.gateway) / got.requests
        let postgres = (after.postgres - before.postgres) / got.requests
        let ratio = got.perSecond / floor.perSecond
        bench.report.add(
            Row(
                work: "GET /api/runs/{runId}, 32 connections", figure: "\(got.perSecond.text(0)) /s",
                floor: "\(floor.perSecond.text(0)) /s",
                ratio: ratio, cpu: "\(cpu.text(1)) (Postgres \(postgres.text(1)))", p50: got.p50, p99: got.p99,
                targets: [("ratio ≥ 0.45", ratio >= 0.45), ("CPU ≤ 60 µs", cpu <= 60)]))
    }

    private struct Load {
        var requests = 0.0, perSecond = 0.0, p50 = 0.0, p99 = 0.0, failures = 0
    }

    private static func load(_ url: String, key: String?, seconds: Int) throws -> Load {
        let header = key.map { ["-H", "Authorization: Bearer \($0)"] } ?? []
        var load = Load()
        for line in try Tool.output("wrk", ["-t1", "-c32", "-d\(seconds)s", "--latency"] + header + [url]).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 1 else { continue }
            if words[1] == "requests" { load.requests = Double(words[0]) ?? 0 }
            if words[0] == "Requests/sec:" { load.perSecond = Double(words[1]) ?? 0 }
            if words[0] == "50%" { load.p50 = milliseconds(words[1]) }
            if words[0] == "99%" { load.p99 = milliseconds(words[1]) }
            if words[0] == "Non-2xx" { load.failures = words.last.flatMap { Int($0) } ?? 0 }
        }
        guard load.requests > 0 else { throw BenchError("wrk got no answers from \(url)") }
        return load
    }

    /// wrk writes `415.00us`, `1.20ms`, `2.00s`.
    private static func milliseconds(_ text: Substring) -> Double {
        let number = Double(text.prefix { $0.isNumber || $0 == "." }) ?? .nan
        return text.hasSuffix("us") ? number / 1000 : text.hasSuffix("ms") ? number : number * 1000
    }
}
