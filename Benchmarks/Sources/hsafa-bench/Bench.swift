import Foundation
import Glibc

/// What every row works with.
struct Bench {
    let poller: Poller
    let stores: Stores
    let report: Report
    let key: String
    let postmaster: Int32
    let redisPID: Int32
    let gatewayBinary: String
    let logs: String

    /// The gateway, started afresh, so that no row inherits another's memory.
    func startGateway(_ settings: [String: String] = [:]) throws -> (Server, API) {
        let server = try Server(
            poller, binary: gatewayBinary, arguments: ["serve"], readyPath: "/health/ready", log: logs + "/gateway.log",
            settings: settings)
        return (server, API(poller: poller, port: server.port, key: key))
    }

    /// CPU of gateway, Postgres and Redis, in microseconds.
    func cpu(_ server: Server) -> (gateway: Double, postgres: Double, redis: Double) {
        (server.cpuMicroseconds, ProcessTable.postgresCPUMicroseconds(postmaster), ProcessTable.cpuMicroseconds(redisPID))
    }
}

@main
struct HsafaBench {
    static func main() async {
        do { try await run() } catch {
            say("error: \(error)")
            exit(1)
        }
    }

    private static func run() async throws {
        ProcessTable.raiseDescriptorLimit()
        let environment = ProcessInfo.processInfo.environment
        if CommandLine.arguments.dropFirst().first == "bare-server" {
            return try await BareServer().run(port: Int(environment["PORT"] ?? "") ?? 0)
        }
        func value(_ name: String) throws -> String {
            guard let text = environment[name], !text.isEmpty else { throw BenchError("\(name) is not set; start this by `make bench`") }
            return text
        }
        let bench = Bench(
            poller: try Poller(), stores: try await Stores(environment), report: Report(), key: try value("HSAFA_API_KEY"),
            postmaster: Int32(try value("BENCH_POSTGRES_PID")) ?? 0, redisPID: Int32(try value("BENCH_REDIS_PID")) ?? 0,
            gatewayBinary: try value("GATEWAY_BIN"), logs: try value("BENCH_LOGS"))
        let start = Clock.monotonic()
        let all: [(String, (Bench) async throws -> Void)] = [
            ("idle", { try IdleRow.measure($0) }), ("get", { try GetRunRow.measure($0) }),
            ("auth", AuthRow.measure), ("append", AppendRow.measure),
            ("delta", DeltaRow.measure), ("fanout", { try FanOutRow.measure($0) }), ("runs", RunsRow.measure),
            ("device", DeviceRow.measure), ("limit", LimitRow.measure), ("policy", { try PolicyRow.measure($0) }),
            ("flood", { try FloodRow.measure($0) }), ("revoke", { try RevokeRow.measure($0) }), ("size", SizeRow.measure),
        ]
        let wanted = CommandLine.arguments.dropFirst()
        var failures = 0
        for (name, measure) in all where wanted.isEmpty || wanted.contains(name) {
            say("==> \(name)")
            do { try await measure(bench) } catch {
                // The other rows still tell something; the exit status tells of this one.
                failures += 1
                bench.report.add(Row(work: name, figure: "**not measured**: \(error)"))
            }
        }
        say("\n" + bench.report.markdown + "\n")
        if wanted.isEmpty, let path = environment["BENCH_RESULTS"] {
            try bench.report.write(to: path, seconds: Double(Clock.monotonic() - start) / 1e9)
            say("Written to \(path)")
        }
        if failures > 0 { exit(1) }
    }
}

/// At once: `print` keeps lines back when its output is no terminal.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
