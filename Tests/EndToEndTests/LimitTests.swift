import Domain
import HsafaClient
import JSON
import Storage
import Synchronization
import TestSupport
import Testing

/// What a killed process held comes free by itself.
@Suite(.serialized) struct LimitTests {
    @Test(.timeLimit(.minutes(5)))
    func theStreamsOfAKilledGatewayComeFreeByTheirSilence() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        _ = try await TenantLimitsStore(owner: environment.owner).apply(TenantLimitPatch([.streams: 2]), to: scope.tenantID)
        let key = try await environment.makeKey(scope)
        let (killed, survivor) = (try GatewayProcess(environment), try GatewayProcess(environment))
        try await killed.start()
        try await survivor.start()
        let first = HsafaClient(baseURL: killed.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient())
        let second = HsafaClient(baseURL: survivor.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient())
        _ = try await first.agents.create(name: "short", config: Scripts.streaming(name: "short", words: 1))
        _ = try await first.agents.create(name: "long", config: Scripts.streaming(name: "long", words: 4000))
        let short = try await first.runs.create(agent: .name("short"), messages: [.user("go")]).runId
        for try await _ in first.runs.stream(short) {}
        let long = try await first.runs.create(agent: .name("long"), messages: [.user("go")]).runId
        let (opened, isOpen) = AsyncStream.makeStream(of: Void.self)
        let watchers = Task {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        var isFirst = true
                        do {
                            for try await _ in first.runs.stream(long) where isFirst {
                                isFirst = false
                                isOpen.yield()
                            }
                        } catch {}
                    }
                }
            }
        }
        var openings = opened.makeAsyncIterator()
        for _ in 0..<2 { _ = await openings.next() }
        let path = "/api/runs/\(short)/stream"
        #expect(try await second.raw("GET", path).status == 429)
        killed.kill9()
        #expect(try await second.raw("GET", path).status == 429, "nobody said that they were closed")
        watchers.cancel()
        #expect(try await eventually { try await second.raw("GET", path).status == 200 })
        await watchers.value
        await first.shutdown()
        await second.shutdown()
        survivor.kill9()
    }

    @Test func theMachineSetsLimitsAndARunningGatewayTakesThemUp() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let key = try await environment.makeKey(scope)
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient())
        let headers = { String(describing: try await client.raw("GET", "/api/agents").headers) }
        #expect(try await headers().contains("q=2000;w=2"))
        let set = try gateway.command(["tenants", "limits", scope.slug, "--requests-per-second", "5", "--request-burst", "50", "--json"])
        #expect(set.status == 0 && set.output == #"{"requestsPerSecond":5,"requestBurst":50}"#, "\(set.output)")
        #expect(try await eventually { try await headers().contains("q=50;w=10") })
        let log = String(decoding: try await client.raw("GET", "/api/audit?action=tenant.update").body, as: UTF8.self)
        #expect(log.contains(#""requestsPerSecond": 5"#) && log.contains("operator"), "\(log)")
        let back = try gateway.command(["tenants", "limits", scope.slug, "--default", "requestBurst"])
        #expect(back.status == 0 && back.output == "requestsPerSecond: 5", "\(back.output)")
        for wrong in [
            ["nobody-of-this-name"], [scope.slug, "--streams", "0"], [scope.slug, "--default", "stream"],
            [scope.slug, "--default", "agents", "--agents", "5"],
        ] {
            let refused = try gateway.command(["tenants", "limits"] + wrong)
            #expect(refused.status != 0, "\(wrong)")
        }
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
