import Domain
import Foundation
import Storage

/// What an append and a claim cost when the tables are large. No gateway runs, as it would claim the runs.
enum SizeRow {
    static func measure(_ bench: Bench) async throws {
        let sizes = ProcessInfo.processInfo.environment["BENCH_LARGE"] == "1" ? [10_000, 100_000, 1_000_000] : [10_000, 100_000]
        let (server, api) = try bench.startGateway()
        let agent = try api.makeAgent("size", steps: "[]")
        server.stop()
        let stores = bench.stores
        try await stores.execute("TRUNCATE hsafa.runs, hsafa.run_events, hsafa.tool_calls, hsafa.tool_results CASCADE")
        var filled = 0
        var first: (append: Double, claim: Double)?
        for size in sizes {
            try await insert(stores, agent: agent, count: size - filled, status: "completed")
            filled = size
            try await stores.execute("ANALYZE hsafa.runs, hsafa.run_events")
            try await stores.execute("CHECKPOINT")
            let append = try await appends(stores)
            let claim = try await claims(stores, agent: agent)
            let small = first ?? (append.p50, claim.p50)
            first = small
            bench.report.add(
                Row(
                    work: "one append at \(Double(size).text(0)) stored events", figure: "\((append.p50 * 1000).text(0)) µs",
                    floor: "\((small.append * 1000).text(0)) µs at \(Double(sizes[0]).text(0))", ratio: append.p50 / small.append,
                    p50: append.p50,
                    p99: append.p99))
            bench.report.add(
                Row(
                    work: "claim of 16 runs at \(Double(size).text(0)) stored runs", figure: "\((claim.p50 * 1000).text(0)) µs a run",
                    floor: "\((small.claim * 1000).text(0)) µs at \(Double(sizes[0]).text(0))", ratio: claim.p50 / small.claim,
                    p50: claim.p50,
                    p99: claim.p99))
        }
    }

    /// Runs with one event each.
    private static func insert(_ stores: Stores, agent: String, count: Int, status: String) async throws {
        let isFinished = status == "completed"
        let made = 20_000
        for start in stride(from: 0, to: count, by: made) {
            try await stores.execute(
                """
                WITH made AS (
                    INSERT INTO hsafa.runs (tenant_id, run_id, agent_id, agent_name, version_id, status, finished_at, deadline_at)
                    SELECT a.tenant_id, overlay(gen_random_uuid()::text PLACING left(hsafa.uuid_at(clock_timestamp())::text, 13) FROM 1)::uuid,
                        a.agent_id, a.name, a.current_version_id, '\(status)', \(isFinished ? "now()" : "NULL"), now() + interval '1 day'
                    FROM hsafa.agents a, generate_series(1, \(min(made, count - start))) WHERE a.agent_id = '\(agent)'
                    RETURNING tenant_id, run_id)
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                SELECT tenant_id, run_id, 1, 'run.created', '{}', now(), 0 FROM made
                """)
        }
    }

    @concurrent
    private static func appends(_ stores: Stores) async throws -> Samples {
        let run = RunID.generate()
        var samples = Samples()
        for seq in 0..<400 {
            let start = Clock.monotonic()
            guard try await stores.tenant.append([Stores.delta()], to: run, after: Int64(seq), claim: 1, at: .now()) != nil else {
                throw BenchError("an append met a conflict")
            }
            samples.add(Clock.monotonic() - start)
        }
        return samples
    }

    /// Time of a claim by the number of its runs.
    private static func claims(_ stores: Stores, agent: String) async throws -> Samples {
        let worker = ReplicaID.generate()
        let claims = Claims(stores.database)
        var cursor = TenantID.generate()
        var samples = Samples()
        try await insert(stores, agent: agent, count: 320, status: "queued")
        while true {
            let start = Clock.monotonic()
            let answer = try await claims.claim(worker: worker, leaseSeconds: 60, limit: 64, after: cursor, defaultConcurrency: 10_000)
            guard !answer.runs.isEmpty else { break }
            samples.add((Clock.monotonic() - start) / Int64(answer.runs.count))
            cursor = answer.cursor
        }
        try await stores.execute(
            "UPDATE hsafa.runs SET status = 'completed', lease_owner = NULL, lease_expires_at = NULL, finished_at = now() WHERE finished_at IS NULL"
        )
        return samples
    }
}
