import HsafaClient
import TestServers
import TestSupport
import Testing

/// The truth goes away for a while: nothing is shown that is not stored, and everything goes on by itself.
@Suite(.serialized) struct PostgresLossTests {
    @Test func `a run under way survives a crash of Postgres, and its watcher sees every event once`() async throws {
        let cluster = try ThrowawayCluster()
        defer { cluster.remove() }
        try cluster.run(script: TestEnvironment.repository + "/scripts/roles.sql", variables: ["database": "hsafa"])
        let environment = try await TestEnvironment.over(
            owner: cluster.url(user: "hsafa_owner", database: "hsafa"), app: cluster.url(user: "hsafa_app", database: "hsafa"))
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient())
        _ = try await client.agents.create(name: "streamer", config: Scripts.streaming(name: "streamer", words: 100))
        let run = try await client.runs.create(agent: .name("streamer"), messages: [.user("go")])
        var seen: [Int] = []
        var types: [String] = []
        var isRestarted = false
        for try await event in client.runs.stream(run.runId) {
            seen.append(event.seq)
            types.append(event.type)
            // As after a loss of power: no checkpoint, every session ends. How many events the words come in is a matter of time, so it is at the first.
            if event.type == "assistant.delta", !isRestarted {
                isRestarted = true
                try cluster.restartImmediately()
            }
        }
        #expect(types.last == "run.completed")
        #expect(seen == Array(1...seen.count), "every event once, in order")
        let stored = try await client.runs.events(run.runId, after: 0, limit: 1000)
        #expect(stored.items.map(\.seq) == seen && stored.items.map(\.type) == types, "what was seen is what is stored")
        // While it is down, callers are told to come again, and the process stays.
        try cluster.stop()

        #expect(try await client.raw("GET", "/api/runs/\(run.runId)").status == 503)
        #expect(try await client.raw("GET", "/health").status == 200)
        #expect(await eventually { (try? await client.raw("GET", "/health/ready").status) == 503 })
        try cluster.start()
        #expect(await eventually { (try? await client.raw("GET", "/api/runs/\(run.runId)").status) == 200 })
        let second = try await client.runs.create(agent: .name("streamer"), messages: [.user("again")])
        var last = ""
        for try await event in client.runs.stream(second.runId) { last = event.type }
        #expect(last == "run.completed")
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
