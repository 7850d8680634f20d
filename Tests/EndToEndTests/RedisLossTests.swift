import Foundation
import Glibc
import HsafaClient
import JSON
import Storage
import TestSupport
import Testing

/// Redis of this suite's own, to be stopped and flushed at will.
private final class OwnRedis {
    let socket: String
    private var process: Process?

    init() { socket = FileManager.default.temporaryDirectory.appending(path: "hsafa-redis-\(UUID().uuidString.prefix(8)).sock").path }
    deinit { stop() }

    var url: String { "unix://\(socket)" }

    func start() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        self.process = process
    }

    func stop() {
        guard let process, process.isRunning else { return }
        // Not SIGTERM: a child inherits the signals that the starting thread blocks, and that is among them.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

@Suite(.serialized) struct RedisLossTests {
    @Test func aRunIsWatchedToItsEndWhileRedisIsAwayAndReplayedAfterItCameBackEmpty() async throws {
        let redis = OwnRedis()
        try redis.start()
        let environment = try await TestEnvironment.fresh(redis: redis.url)
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient())
        _ = try await client.agents.create(name: "streamer", config: Scripts.streaming(name: "streamer", words: 100))
        let run = try await client.runs.create(agent: .name("streamer"), messages: [.user("go")])
        var seen: [Int] = []
        var last = ""
        for try await event in client.runs.stream(run.runId) {
            seen.append(event.seq)
            last = event.type
            if seen.count == 10 { redis.stop() }
        }
        #expect(last == "run.completed")
        #expect(seen == Array(1...seen.count), "without Redis nothing is lost")
        // A new run is created and finished without Redis, too.
        let second = try await client.runs.create(agent: .name("streamer"), messages: [.user("again")])
        var secondSeen: [Int] = []
        for try await event in client.runs.stream(second.runId) { secondSeen.append(event.seq) }
        #expect(secondSeen == Array(1...secondSeen.count))
        try redis.start()
        for since in [0, 1, seen.count / 2, seen.count - 1] {
            var replayed: [Int] = []
            for try await event in client.runs.stream(run.runId, since: since) { replayed.append(event.seq) }
            #expect(replayed == Array(seen.dropFirst(since)), "an empty Redis does not change a replay from \(since)")
        }
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
