import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

@Suite(.serialized) struct RedisLossTests {
    @Test func aRunIsWatchedToItsEndWhileRedisIsAwayAndReplayedAfterItCameBackEmpty() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let environment = try await TestEnvironment.fresh(redis: redis.url)
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient())
        _ = try await client.agents.create(name: "streamer", config: Scripts.streaming(name: "streamer", words: 100))
        let run = try await client.runs.create(agent: .name("streamer"), messages: [.user("go")])
        var seen: [Int] = []
        var last = ""
        var isKilled = false
        for try await event in client.runs.stream(run.runId) {
            seen.append(event.seq)
            last = event.type
            // Once, as soon as the model speaks: how many events its words come in is a matter of time.
            if event.type == "assistant.delta", !isKilled {
                isKilled = true
                redis.kill()
            }
        }
        #expect(last == "run.completed")
        #expect(seen == Array(1...seen.count), "without Redis nothing is lost")
        // A new run is created and finished without Redis, too.
        let second = try await client.runs.create(agent: .name("streamer"), messages: [.user("again")])
        var secondSeen: [Int] = []
        for try await event in client.runs.stream(second.runId) { secondSeen.append(event.seq) }
        #expect(secondSeen == Array(1...secondSeen.count))
        try await redis.start()
        for since in [0, 1, seen.count / 2, seen.count - 1] {
            var replayed: [Int] = []
            for try await event in client.runs.stream(run.runId, since: since) { replayed.append(event.seq) }
            #expect(replayed == Array(seen.dropFirst(since)), "an empty Redis does not change a replay from \(since)")
        }
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
