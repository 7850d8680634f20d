import HsafaClient
import JSON
import Redis
import Runtime
import Storage
import TestSupport
import Testing

/// Gateways over one database: `front` takes the requests, `back` does the work.
@Suite(.timeLimit(.minutes(5)))
struct ReplicaTests {
    private func replicas() async throws -> (tenant: TestTenant, back: TestGateway) {
        let (front, back) = try await TestGateway.replicas.value
        return (try await TestTenant.make(on: front), back)
    }

    /// The same, and nothing is found by a poll.
    private func replicasByMessage() async throws -> (tenant: TestTenant, back: TestGateway) {
        let (front, back) = try await TestGateway.apart.value
        return (try await TestTenant.make(on: front), back)
    }

    @Test func `a run is watched live on a replica that does not work on it`() async throws {
        let (tenant, back) = try await replicas()
        let speaksThenAsks = #"{"deltas":{"count":20,"text":"w "},"delayMilliseconds":5,"toolCalls":[{"name":"ask"}]}"#
        let run = try await tenant.run(steps: [speaksThenAsks, Config.says], tools: [Config.browser("ask")])
        var here = try await EventStream.open(tenant, run)
        var there = try await EventStream.open(tenant.through(back), run)
        // Live: the run cannot end before it is answered, and it is answered after these have come.
        while try !here.events().contains(where: { $0.data.contains("assistant.delta") }) { try #require(try await here.receive()) }
        while try !there.events().contains(where: { $0.data.contains("assistant.delta") }) { try #require(try await there.receive()) }
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == true)
        while try await here.receive() {}
        while try await there.receive() {}
        #expect(try here.events() == there.events())
        #expect(try here.events().last?.data.contains("run.completed") == true)
    }

    @Test func `a device is called on the replica that holds its socket, by message alone`() async throws {
        let (tenant, back) = try await replicasByMessage()
        let device = try await tenant.device()
        for (index, gateway) in [tenant.gateway, back].enumerated() {
            try await device.connected(gateway) { socket async throws in
                let run = try await tenant.deviceRun("agent-\(index)")
                let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
                try await socket.answer(call)
                #expect(try await socket.isApplied())
                #expect(try await tenant.events(run).last?.type == "run.completed")
            }
        }
    }

    @Test func `a second connect on another replica takes over, and a revocation is heard there`() async throws {
        let (tenant, back) = try await replicas()
        let device = try await tenant.device()
        try await device.connected(tenant.gateway) { first async throws in
            try await device.connected(back) { second async throws in
                #expect(try await first.closing() == 4409)
                #expect(try await tenant.send("DELETE", "/api/devices/\(device.id)").status == 204)
                #expect(try await second.closing() == 4403)
            }
        }
    }

    @Test func `a cancel on one replica is heard by the other while its model is silent, by message alone`() async throws {
        let (tenant, back) = try await replicasByMessage()
        // Its leases are renewed once in twenty minutes, so its channel is all that it has.
        let channel = RedisKeys.workerNotify(back.gateway.replicaID)
        let redis = back.environment.redis
        #expect(try await eventually { try await redis.send(RedisCommand("PUBSUB", "NUMSUB", channel)).array?.last?.int == 1 })
        let run = try await tenant.run(steps: [#"{"initialDelayMilliseconds":60000,"text":"late"}"#])
        _ = try await tenant.events(run) { $0.type == "step.started" }
        let start = ContinuousClock.now
        #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200)
        #expect(try await tenant.events(run).last?.type == "run.canceled")
        // Before the model speaks: its first word would find the cancel in the log.
        #expect(ContinuousClock.now - start < .seconds(50))
    }

    @Test func `a result on one replica wakes the other`() async throws {
        let (tenant, back) = try await replicas()
        let run = try await tenant.run(steps: [Config.calls("ask"), Config.tellsResult], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let answer = try await tenant.through(back).send(
            "POST", "/api/runs/\(run)/tool-results", #"{"callId":"\#(call)","result":"b"}"#)
        #expect(try answer.json()["applied"]?.bool == true)
        #expect(try await tenant.answer(run, call).json()["applied"]?.bool == false)
        #expect(try await tenant.events(run).last?.type == "run.completed")
    }

    @Test func `a run that nobody has begun is canceled at once`() async throws {
        let gateway = try await TestGateway.running(in: .fresh(), maxConcurrentRuns: 0)
        let tenant = try await TestTenant.make(on: gateway)
        let run = try await tenant.run(steps: [Config.says])
        #expect(try await tenant.snapshot(run)["status"]?.string == "queued")
        for _ in 0..<2 { #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").string("status") == "canceled") }
        #expect(try await tenant.events(run).map(\.type) == ["run.created", "run.cancel_requested", "run.canceled"])
    }
}
