import Domain
import Foundation
import JSON
import Postgres
import Redis
import Storage

/// Runs from created to completed, 20 deltas and one watcher each; floor: the same rows and stream entries written bare.
enum RunsRow {
    nonisolated static let seconds = 7.0

    static func measure(_ bench: Bench) async throws {
        // Deltas at once are stored as few events, for what comes while an append is under way goes out with the next; at a pace, each is one.
        for (inFlight, pace) in [(16, 0), (64, 0), (16, 3)] {
            let (server, api) = try bench.startGateway()
            defer { server.stop() }
            let agent = try api.makeAgent(
                "runs-\(inFlight)-\(pace)", steps: #"[{"deltas":{"count":20,"text":"tok en "},"delayMilliseconds":\#(pace)}]"#)
            _ = try play(bench, server, agent: agent, inFlight: inFlight, seconds: 1)
            let before = bench.cpu(server)
            let (samples, elapsed) = try play(bench, server, agent: agent, inFlight: inFlight, seconds: seconds)
            let after = bench.cpu(server)
            let events = try await bench.stores.number(
                """
                SELECT round(avg(n))::bigint FROM (SELECT count(*) AS n FROM hsafa.run_events e JOIN hsafa.runs r USING (tenant_id, run_id)
                WHERE r.agent_id = '\(agent)' GROUP BY e.run_id) s
                """)
            // A gateway would claim the runs of the floor.
            server.stop()
            let floor = try await bare(bench.stores, agent: agent, events: events, inFlight: inFlight)
            let (count, rate) = (Double(samples.count), Double(samples.count) / elapsed)
            let postgres = (after.postgres - before.postgres) / count
            // At a pace, 57 ms of a run are its model's: the target for runs a second is the others'.
            let targets = [("ratio ≥ 0.4", rate / floor >= 0.4), ("≥ 1,000 runs/s", rate >= 1000)]
            bench.report.add(
                Row(
                    work:
                        "runs created → completed, \(inFlight) in flight, \(events) events stored a run\(pace > 0 ? ", a delta each \(pace) ms" : "")",
                    figure: "\(rate.text(0)) runs/s",
                    floor: "\(floor.text(0)) runs/s", ratio: pace > 0 ? nil : rate / floor,
                    cpu: "\(((after.gateway - before.gateway) / count).text(0)) (Postgres \(postgres.text(0)))", p50: samples.p50,
                    p99: samples.p99,
                    targets: pace > 0 ? [] : targets))
        }
    }

    private final class Slot {
        let connection: HTTPConnection
        var watcher: Watcher?
        var startedAt: Int64 = 0

        init(_ connection: HTTPConnection) { self.connection = connection }
    }

    private static func play(_ bench: Bench, _ server: Server, agent: String, inFlight: Int, seconds: Double) throws -> (
        Samples, seconds: Double
    ) {
        var samples = Samples()
        var failure: String?
        var isStopping = false
        var running = 0
        let body = API.newRun(agent)
        // A slot goes on after the event's own call is over, as its watcher is replaced.
        var finished: [Slot] = []
        func start(_ slot: Slot) {
            slot.watcher?.disconnect()
            guard !isStopping, failure == nil else { return }
            running += 1
            slot.startedAt = Clock.realtime()
            slot.connection.request("POST", "/api/runs", key: bench.key, json: body) { status, bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                guard status == 201, let start = text.range(of: "\"runId\":\"")?.upperBound else {
                    return failure = "POST /api/runs: \(status) \(text)"
                }
                do {
                    slot.watcher = try Watcher(
                        bench.poller, port: server.port, path: "/api/runs/\(text[start...].prefix(36))/stream", key: bench.key
                    ) { _, event in
                        if event.isType("run.failed") { failure = "a run failed" }
                        guard event.isType("run.completed") else { return }
                        samples.add(event.receivedAt - slot.startedAt)
                        running -= 1
                        finished.append(slot)
                    }
                } catch { failure = "\(error)" }
            }
        }
        let began = Clock.monotonic()
        for _ in 0..<inFlight { start(Slot(try HTTPConnection(bench.poller, port: server.port))) }
        let end = began + Int64(seconds * 1e9)
        try bench.poller.run("\(inFlight) runs at a time (\(failure ?? "no failure"))", seconds: seconds + 20) {
            let ready = finished
            finished.removeAll(keepingCapacity: true)
            for slot in ready { start(slot) }
            isStopping = Clock.monotonic() >= end
            return failure != nil || (isStopping && running == 0)
        }
        if let failure { throw BenchError(failure) }
        return (samples, Double(Clock.monotonic() - began) / 1e9)
    }

    private nonisolated struct Agent: Sendable {
        let tenant: UUID, id: UUID, version: UUID, name: String
    }

    /// Runs a second.
    @concurrent
    private static func bare(_ stores: Stores, agent: String, events: Int, inFlight: Int) async throws -> Double {
        let rows = try await stores.bare.query(
            SQL(unsafeSQL: "SELECT tenant_id, agent_id, current_version_id, name FROM hsafa.agents WHERE agent_id = '\(agent)'"))
        guard let row = rows.first else { throw BenchError("the agent is gone") }
        let agent = Agent(tenant: try row.decode(0), id: try row.decode(1), version: try row.decode(2), name: try row.decode(3))
        let start = Clock.monotonic()
        let end = start + Int64(seconds * 1e9 / 2)
        let runs = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<inFlight {
                group.addTask {
                    var count = 0
                    while Clock.monotonic() < end {
                        try await write(stores, agent, events: events)
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        return Double(runs) / (Double(Clock.monotonic() - start) / 1e9)
    }

    /// Four commits: created, claimed, deltas, completed.
    private nonisolated static func write(_ stores: Stores, _ agent: Agent, events: Int) async throws {
        let run = RunID.generate()
        let data = Stores.delta().data.string
        func insert(_ seqs: ClosedRange<Int>, after change: SQL) async throws {
            // The change's parameters are $1 to $5; what it does not use is still bound.
            let sql: SQL = """
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                SELECT $1, $2, e.seq, 'assistant.delta', e.data::json, now(), 1
                FROM unnest($6, $7) AS e (seq, data) WHERE $3 IS NOT NULL AND $4 IS NOT NULL AND $5 IS NOT NULL
                """
            let bound: SQL = """
                \(agent.tenant)\(run.uuid)\(agent.id)\(agent.version)\(agent.name)\(seqs.map(Int64.init))\(seqs.map { _ in data })
                """
            _ = try await stores.bare.query(SQL(unsafeSQL: change.text + sql.text, parameters: bound.parameters))
        }
        try await insert(
            1...1,
            after: """
                WITH change AS (
                    INSERT INTO hsafa.runs (tenant_id, run_id, agent_id, version_id, agent_name, status, deadline_at)
                    VALUES ($1, $2, $3, $4, $5, 'queued', now() + interval '1 day'))
                """)
        try await insert(
            2...2,
            after: """
                WITH change AS (
                    UPDATE hsafa.runs SET status = 'running', lease_owner = run_id, lease_expires_at = now() + interval '1 day',
                        claim_number = 1, started_at = now() WHERE tenant_id = $1 AND run_id = $2)
                """)
        if events > 4 { try await insert(3...events - 2, after: "") }
        try await insert(
            max(3, events - 1)...max(4, events),
            after: """
                WITH change AS (
                    UPDATE hsafa.runs SET status = 'completed', lease_owner = NULL, lease_expires_at = NULL, finished_at = now()
                    WHERE tenant_id = $1 AND run_id = $2)
                """)
        let key = RedisKeys.stream(run)
        stores.redis.post(
            (1...events).map { RedisCommand("XADD", key, "MAXLEN", "~", "2048", "\($0)-0", "e", data) }
                + [RedisCommand("EXPIRE", key, "900"), RedisCommand("PUBLISH", RedisKeys.notify(run), data)])
    }
}
