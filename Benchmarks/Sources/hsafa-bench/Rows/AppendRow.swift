import Domain
import JSON
import Storage

/// Events appended and committed by 200 writers through the storage layer; floor: one INSERT of the same rows for all of them.
enum AppendRow {
    nonisolated static let writers = 200
    nonisolated static let seconds = 3.0

    static func measure(_ bench: Bench) async throws {
        for batch in [1, 8] {
            let floor = try await bare(bench.stores, batch: batch)
            let cpuBefore = ProcessTable.postgresCPUMicroseconds(bench.postmaster)
            let (events, elapsed, samples) = try await append(bench.stores, batch: batch)
            let cpu = (ProcessTable.postgresCPUMicroseconds(bench.postmaster) - cpuBefore) / events
            let rate = events / elapsed
            let ratio = rate / floor
            bench.report.add(
                Row(
                    work: "events appended and committed, 200 runs, \(batch) an append", figure: "\(rate.text(0)) events/s",
                    floor: "\(floor.text(0)) events/s", ratio: ratio, cpu: "Postgres \(cpu.text(1))", p50: samples.p50, p99: samples.p99,
                    targets: [("ratio ≥ 0.5", ratio >= 0.5), ("≥ 60,000 events/s", rate >= 60_000)]))
        }
        // What these rows left to be written out is no cost of the next.
        try await bench.stores.execute("CHECKPOINT")
    }

    @concurrent
    private static func append(_ stores: Stores, batch: Int) async throws -> (events: Double, seconds: Double, Samples) {
        let start = Clock.monotonic()
        let end = start + Int64(seconds * 1e9)
        let (events, samples) = try await withThrowingTaskGroup(of: (Int, Samples).self) { group in
            for _ in 0..<writers {
                group.addTask {
                    let run = RunID.generate()
                    var after: Int64 = 0
                    var samples = Samples()
                    while Clock.monotonic() < end {
                        let events = (0..<batch).map { _ in Stores.delta() }
                        let began = Clock.monotonic()
                        guard let last = try await stores.tenant.append(events, to: run, after: after, claim: 1, at: .now()) else {
                            throw BenchError("an append met a conflict")
                        }
                        samples.add(Clock.monotonic() - began)
                        after = last
                    }
                    return (Int(after), samples)
                }
            }
            return try await group.reduce(into: (0, Samples())) {
                $0.0 += $1.0; $0.1.add($1.1)
            }
        }
        return (Double(events), Double(Clock.monotonic() - start) / 1e9, samples)
    }

    /// Events a second.
    @concurrent
    private static func bare(_ stores: Stores, batch: Int) async throws -> Double {
        let start = Clock.monotonic()
        let end = start + Int64(seconds * 1e9)
        let events = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let runs = (0..<writers).map { _ in RunID.generate() }
                    let rowRuns = runs.flatMap { Array(repeating: $0, count: batch) }
                    var round: Int64 = 0
                    while Clock.monotonic() < end {
                        let seqs = runs.flatMap { _ in (1...batch).map { round * Int64(batch) + Int64($0) } }
                        try await stores.insertBare(rowRuns, seqs, rowRuns.map { _ in Stores.delta().data.string })
                        round += 1
                    }
                    return Int(round) * rowRuns.count
                }
            }
            return try await group.reduce(0, +)
        }
        return Double(events) / (Double(Clock.monotonic() - start) / 1e9)
    }
}
