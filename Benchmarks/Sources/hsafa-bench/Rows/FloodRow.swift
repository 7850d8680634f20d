import Cryptography
import Domain

/// Good requests while wrong keys arrive; floor: the same requests alone. Both open loop: a request's time counts from when it was due,
/// so a gateway that stands still cannot hide it.
enum FloodRow {
    static let goodPerSecond = 400.0, wrongPerSecond = 500.0
    static let seconds = 10.0

    /// Where wrong keys come from.
    private enum Source {
        /// From one address, whose count of failures soon answers for all of them.
        case oneAddress
        /// Each from another, so that each that names a key gets as far as the hash queue.
        case manyAddresses

        var name: String { self == .oneAddress ? "one address" : "many addresses" }
        var settings: [String: String] { self == .oneAddress ? [:] : ["TRUSTED_PROXIES": "127.0.0.1"] }

        /// Of 2^24: more than the gateway counts one by one.
        func address(_ index: Int) -> String? {
            guard self == .manyAddresses else { return nil }
            // A step that visits all of them once before any of them twice.
            let spread = index &* 7_368_787 & 0xFF_FFFF
            return "100.\(spread >> 16).\(spread >> 8 & 255).\(spread & 255)"
        }
    }

    static func measure(_ bench: Bench) throws {
        try measure(bench, from: .oneAddress)
        try measure(bench, from: .manyAddresses)
    }

    private static func measure(_ bench: Bench, from source: Source) throws {
        let (server, api) = try bench.startGateway(source.settings)
        defer { server.stop() }
        let run = try api.makeRun(try api.makeAgent(source == .oneAddress ? "flood-one" : "flood-many", steps: #"[{"text":"Hello."}]"#))
        let path = "/api/runs/\(run)"
        _ = try load(bench, server.port, path, wrong: [], source, seconds: 2)
        let alone = try load(bench, server.port, path, wrong: [], source, seconds: seconds)
        let before = bench.cpu(server).gateway
        let flooded = try load(bench, server.port, path, wrong: wrongKeys(like: bench.key), source, seconds: seconds)
        let cpu = (bench.cpu(server).gateway - before) / Double(flooded.answers + flooded.refusals)
        let isDelivered = Double(flooded.refusals) >= wrongPerSecond * seconds * 0.95
        let ratio = flooded.good.p99 / alone.good.p99
        bench.report.add(
            Row(
                work: "good requests beside \(Int(wrongPerSecond)) wrong keys a second from \(source.name)",
                figure: "p99 \(flooded.good.p99.text(2)) ms", floor: "p99 \(alone.good.p99.text(2)) ms", ratio: ratio, cpu: cpu.text(1),
                p50: flooded.good.p50, p99: flooded.good.p99,
                targets: [("p99 ≤ 1.5 × alone", ratio <= 1.5), ("≥ 95 % of the wrong keys sent", isDelivered)]))
    }

    /// Half of them name no key, half are the right key's with another secret, which alone could cost a hash.
    private static func wrongKeys(like key: String) -> [String] {
        let prefix = key.prefix { $0 != "_" } + key.drop { $0 != "_" }.prefix(14)
        return (0..<512).map { index in
            guard index % 2 == 1 else { return CredentialToken.generate(.apiKey).text }
            let body = prefix + Base62.random(count: 43)
            return body + Base62.encode(CRC32.checksum(body.utf8), width: 6)
        }
    }

    private struct Load {
        var good = Samples()
        var answers = 0
        var refusals = 0
    }

    /// Connections that take turns; each has one request under way.
    private final class Turns {
        private var idle: [HTTPConnection]
        private let interval: Int64
        private var due: Int64

        init(_ connections: [HTTPConnection], perSecond: Double, start: Int64) {
            idle = connections
            interval = Int64(1e9 / perSecond)
            due = start
        }

        /// Sends what is due, as far as there are free connections.
        func send(_ request: (HTTPConnection, _ due: Int64, _ done: @escaping () -> Void) -> Void) {
            let now = Clock.monotonic()
            while due <= now, let connection = idle.popLast() {
                request(connection, due) { [self] in idle.append(connection) }
                due += interval
            }
        }
    }

    private static func load(
        _ bench: Bench, _ port: Int, _ path: String, wrong: [String], _ source: Source, seconds: Double
    ) throws -> Load {
        var load = Load()
        var failure: String?
        // More than the keys of half a second, so that waiting for a hash holds no other key back. They are open before anything counts.
        func connections(_ count: Int) throws -> [HTTPConnection] {
            try (0..<count).map { _ in try HTTPConnection(bench.poller, port: port) }
        }
        let (goodOnes, badOnes) = (try connections(64), try connections(wrong.isEmpty ? 0 : 320))
        bench.poller.run(for: 1)
        let start = Clock.monotonic()
        let end = start + Int64(seconds * 1e9)
        let good = Turns(goodOnes, perSecond: goodPerSecond, start: start)
        let bad = Turns(badOnes, perSecond: wrongPerSecond, start: start)
        var next = 0
        while Clock.monotonic() < end {
            good.send { connection, due, done in
                connection.request("GET", path, key: bench.key) { status, _ in
                    load.good.add(Clock.monotonic() - due)
                    load.answers += 1
                    if status != 200 { failure = "a good request got \(status)" }
                    done()
                }
            }
            if !wrong.isEmpty {
                bad.send { connection, _, done in
                    connection.request("GET", path, key: wrong[next % wrong.count], address: source.address(next)) { status, _ in
                        load.refusals += 1
                        if ![401, 429, 503].contains(status) { failure = "a wrong key got \(status)" }
                        done()
                    }
                    next += 1
                }
            }
            // Less than two milliseconds would be none at all to epoll.
            bench.poller.run(for: 0.002)
        }
        if let failure { throw BenchError(failure) }
        return load
    }
}
