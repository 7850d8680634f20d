import Foundation

/// One line of the table. What does not apply is nil.
struct Row {
    var work: String
    var figure: String
    var floor: String?
    /// Figure by floor, as the target says it.
    var ratio: Double?
    var cpu: String?
    var p50: Double?
    var p99: Double?
    var memory: String?
    /// Each part of the target, and whether it was met.
    var targets: [(String, Bool)] = []
}

final class Report {
    private(set) var rows: [Row] = []

    func add(_ row: Row) {
        rows.append(row)
        let cells = Self.cells(row)
        say(
            "    " + zip(Self.columns.dropFirst(), cells.dropFirst()).filter { $1 != "–" }.map { "\($0): \($1)" }.joined(separator: " · "))
    }

    private static let columns = ["work", "figure", "floor", "ratio", "CPU µs/op", "p50 ms", "p99 ms", "memory", "target: met or missed"]

    private static func cells(_ row: Row) -> [String] {
        let targets = row.targets.map { "\($0.0): \($0.1 ? "met" : "**missed**")" }.joined(separator: "; ")
        return [
            row.work, row.figure, row.floor ?? "–", row.ratio.map { $0.text(2) } ?? "–", row.cpu ?? "–", row.p50.map { $0.text(2) } ?? "–",
            row.p99.map { $0.text(2) } ?? "–", row.memory ?? "–", targets.isEmpty ? "–" : targets,
        ]
    }

    var markdown: String {
        let lines = [Self.columns, Self.columns.map { _ in "---" }] + rows.map(Self.cells)
        return lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
    }

    func write(to path: String, seconds: Double) throws {
        let cpuinfo = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
        let model = cpuinfo.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last ?? " unknown"
        let load = (try String(contentsOfFile: "/proc/loadavg", encoding: .utf8)).split(separator: " ").prefix(3).joined(separator: " ")
        let targets = rows.flatMap(\.targets)
        let text = """
            # Results of `make bench`

            \(Date.now.formatted(.iso8601)), \(ProcessInfo.processInfo.activeProcessorCount) cores,\(model); \(Int(seconds)) s, \
            load average at the end \(load). \(targets.count { $0.1 }) of \(targets.count) targets met.

            Gateway, Postgres (fsync on), Redis and the load generators share these cores, so a client's work is in every delay. Ratios
            and CPU per operation count; absolute figures move with the machine. A floor is measured beside each figure, in the same run.
            CPU is the gateway's, from /proc/<pid>/stat, unless the cell says otherwise.

            \(markdown)

            A target counts as met only under the load that was asked for. Where gateway or floor delivered less than 95 % of it (on a machine
            that is busy otherwise, for one), the row's ratio is left out and its parts count as missed.

            What the floors are:

            - GET of a run: `GET /health` of the same server, by the same wrk.
            - Events appended: one `INSERT … SELECT FROM unnest` for all 200 runs, as superuser, without function and row-level security, four under way.
            - A delta to its watcher: one INSERT with its commit, then one PUBLISH to a subscriber, alone on idle servers.
            - Fan-out: a NIO server in a process of its own which writes an event of the same size, with the same chunk framing, to as many sockets.
            - Runs: the same number of rows in four commits a run, and the same stream entries, written bare by as many tasks.
            - Rate-limit decision: `EVALSHA` of the same script, by redis-benchmark over one connection with as many under way.
            - A decision of policy: one look into a dictionary with as many strings as there are rules, in the same process.
            - Good requests beside wrong keys: the same requests alone, each timed from when it was due.
            - Device round trip: two INSERTs with their commits, one after the other, then one PUBLISH.

            What holds what misses its target, as far as profiles (perf) show it:

            - GET of a run: half of it is what `/health` costs as well (two system calls, parser, router); the rest has no single place.
            - A delta: about ten system calls, and the wake-ups between a loop and the thread of Postgres' sockets where few share a turn. One loop
              in place of two brings 200 → 167 µs, and would leave half of such a machine to others.
            - Runs: Postgres, 2.1 ms a run, of which 17 % is fsync, 6 % CHECK constraints that it reads anew for each statement, the rest functions
              and indexes. No UPDATE of `runs` is HOT: partial indexes name the columns that change. A device's call stands behind the same commits.
            - Good requests beside wrong keys from many addresses: 0.96, 1.18 and 1.58 × in three runs of one day; one argon2id, at the lowest
              priority, takes a core of two.

            """
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }
}

extension Double {
    func text(_ digits: Int) -> String {
        formatted(.number.precision(.fractionLength(digits)).grouping(.automatic).locale(Locale(identifier: "en_US")))
    }
}
