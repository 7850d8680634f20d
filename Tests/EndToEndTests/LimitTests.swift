import Cryptography
import Domain
import FoundationEssentials
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
        let first = try HsafaClient(baseURL: killed.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        let second = try HsafaClient(baseURL: survivor.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
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

    @Test(.timeLimit(.minutes(5)))
    func theDevicesOfAKilledGatewayComeFreeByTheirSilence() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        _ = try await TenantLimitsStore(owner: environment.owner).apply(TenantLimitPatch([.devices: 1]), to: scope.tenantID)
        let key = try await environment.makeKey(scope)
        // Replicas of one gateway: a device signs for its address, whichever of them it comes to.
        let settings = ["PUBLIC_URL": "https://gateway.test"]
        let (killed, survivor) = (try GatewayProcess(environment, settings: settings), try GatewayProcess(environment, settings: settings))
        try await killed.start()
        try await survivor.start()
        let client = try HsafaClient(baseURL: survivor.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        func device(_ name: String, _ notice: @escaping @Sendable (DeviceConnection.Notice) -> Void) async throws
            -> (GatewayProcess) throws -> DeviceConnection
        {
            let token = try await client.enrollmentTokens.create(labels: [], autoApprove: true)
            SuiteLog.noteSecret(token.token)
            let deviceKey = try DeviceKey()
            SuiteLog.noteSecret(Base64URL.encode(deviceKey.privateKey.rawRepresentation))
            let enrolled = try await client.devices.enroll(
                token: try EnrollmentToken(token.token), audience: token.audience, key: deviceKey, deviceKey: name)
            var options = try DeviceConnection.Options().heldToContract()
            options.backOff = BackOff(initialMilliseconds: 50, maximumMilliseconds: 500)
            return { gateway in
                DeviceConnection(
                    gatewayURL: gateway.url,
                    identity: .init(deviceId: enrolled.deviceId, key: deviceKey, audience: enrolled.audience), tools: [],
                    outcomes: try OutcomeStore(), options: options, onNotice: notice
                ) { _ in .error(code: "none", message: "This device has no tools.") }
            }
        }
        let (registrations, registered) = AsyncStream.makeStream(of: String.self)
        let (refusals, refused) = AsyncStream.makeStream(of: DeviceConnectionError.self)
        let first = try await device("first") { if case .registered = $0 { registered.yield("first") } }
        let second = try await device("second") {
            switch $0 {
            case .registered: registered.yield("second")
            case .disconnected(let error, _): refused.yield(error)
            default: break
            }
        }
        let onKilled = try first(killed)
        let holding = Task {
            defer { registered.finish() }
            try await onKilled.run()
        }
        var heard = registrations.makeAsyncIterator()
        try #require(await heard.next() == "first")
        let onSurvivor = try second(survivor)
        let waiting = Task { try await onSurvivor.run() }
        // Refused while the first is there; it tries again by itself.
        var ends = refusals.makeAsyncIterator()
        #expect(await ends.next() != nil)
        killed.kill9()
        #expect(await heard.next() == "second", "the place came free by its silence")
        holding.cancel()
        waiting.cancel()
        _ = await (holding.result, waiting.result)
        await client.shutdown()
        survivor.kill9()
    }

    @Test func theMachineSetsLimitsAndARunningGatewayTakesThemUp() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let key = try await environment.makeKey(scope)
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
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
