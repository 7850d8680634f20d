import Domain
import HsafaClient
import JSON
import Postgres
import TestServers
import TestSupport
import Testing

/// Kills of the real binary while a run waits for a time, for another system, or for an answer.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct ScheduleCrashTests {
    private struct Place {
        let environment: TestEnvironment
        let tenant: TenantID
        let gateway: GatewayProcess
        let client: HsafaClient

        /// As if the lease of whoever took it, or the time, were over.
        func makeDue() async throws {
            _ = try await environment.owner.query(
                "UPDATE hsafa.scheduled_calls SET due_at = now() - interval '1 second' WHERE tenant_id = \(tenant)",
                scope: tenant.description, lane: .alone)
        }

        func scheduled() async throws -> Int {
            try await environment.owner.query(
                "SELECT count(*) FROM hsafa.scheduled_calls WHERE tenant_id = \(tenant)", scope: tenant.description, lane: .alone
            ).first?.decode(0, as: Int.self) ?? -1
        }

        func run(_ name: String, tool: String, call: String = "{}") async throws -> String {
            let config = Scripts.tool(name: name, tool: tool, arguments: call)
            _ = try await client.agents.create(name: name, config: config)
            return try await client.runs.create(agent: .name(name), messages: [.user("go")]).runId
        }

        /// The events to the run's end, each seq once.
        func events(_ run: String) async throws -> [HsafaClient.Event] {
            var events: [HsafaClient.Event] = []
            for try await event in client.runs.stream(run) { events.append(event) }
            #expect(events.map(\.seq) == Array(1...events.count))
            return events
        }
    }

    private func withGateway(redis: String? = nil, _ body: (Place) async throws -> Void) async throws {
        let environment = try await TestEnvironment.fresh(redis: redis)
        let tenant = try await environment.makeTenant()
        let key = try await environment.makeKey(tenant)
        let gateway = try GatewayProcess(environment, settings: ["EGRESS_ALLOW": "127.0.0.1"])
        try await gateway.start()
        let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        do {
            try await body(Place(environment: environment, tenant: tenant.tenantID, gateway: gateway, client: client))
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }

    @Test func `a timer outlives kill -9`() async throws {
        try await withGateway { place in
            let run = try await place.run(
                "waiter", tool: #"{"name":"t","executionType":"waiting","execution":{"seconds":3600}}"#)
            #expect(try await eventually { try await place.client.runs.get(run).status == "waiting_tool" })
            place.gateway.kill9()
            #expect(try await place.scheduled() == 1)
            try await place.gateway.start()
            try await place.makeDue()
            let events = try await place.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(events.filter { $0.type == "tool.result.received" }.count == 1)
            #expect(events.contains { $0.type == "run.resumed" && $0.data.string.contains("timer") })
            #expect(try await place.scheduled() == 0)
        }
    }

    @Test func `a call that was posted and not written down is posted again under the same id`() async throws {
        let (killed, kill) = AsyncStream.makeStream(of: Void.self)
        let server = try await ToolServer { _ in
            // The system has the call; its answer finds nobody.
            for await _ in killed { break }
            return .json("1")
        }
        try await withGateway { place in
            let issued = try await place.client.rotateWebhookSecret()
            SuiteLog.noteSecret(String(issued.secret.dropFirst(6)))
            let run = try await place.run(
                "caller", tool: #"{"name":"t","target":"external","execution":{"url":"http://127.0.0.1:\#(server.port)/"}}"#)
            #expect(await eventually { server.received.count == 1 })
            place.gateway.kill9()
            kill.finish()
            try await place.gateway.start()
            try await place.makeDue()
            let events = try await place.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(events.filter { $0.type == "tool.result.received" }.count == 1)
            let ids = server.received.compactMap { $0.header("webhook-id") }
            #expect(ids.count == 2 && Set(ids).count == 1)
            #expect(server.received[0].body == server.received[1].body, "the same call, to the byte")
        }
        await server.close()
    }

    /// At least once: the repetition carries the call's id, by which the other side can know it.
    @Test func `a request that was under way is made again, and the run completes`() async throws {
        let (killed, kill) = AsyncStream.makeStream(of: Void.self)
        let server = try await ToolServer { _ in
            for await _ in killed { break }
            return .json(#"{"ok":true}"#)
        }
        try await withGateway { place in
            let run = try await place.run(
                "requester",
                tool: #"{"name":"t","executionType":"request","execution":{"url":"http://127.0.0.1:\#(server.port)/","method":"POST"}}"#)
            #expect(await eventually { server.received.count == 1 })
            place.gateway.kill9()
            kill.finish()
            try await place.gateway.start()
            let events = try await place.events(run)
            #expect(events.last?.type == "run.completed")
            #expect(events.contains { $0.type == "run.resumed" && $0.data.string.contains("recovered") })
            #expect(events.filter { $0.type == "tool.call.requested" }.count == 1, "a complete message is never asked for again")
            #expect(events.filter { $0.type == "tool.result.received" }.count == 1)
            let ids = server.received.compactMap { $0.header("idempotency-key") }
            #expect(ids.count == 2 && Set(ids).count == 1)
        }
        await server.close()
    }

    @Test func `timers fire and calls are posted while Redis is away`() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let server = try await ToolServer { _ in .json("1") }
        try await withGateway(redis: redis.url) { place in
            let issued = try await place.client.rotateWebhookSecret()
            SuiteLog.noteSecret(String(issued.secret.dropFirst(6)))
            redis.kill()
            let waiting = try await place.run("waiter", tool: #"{"name":"t","executionType":"waiting","execution":{"seconds":1}}"#)
            let calling = try await place.run(
                "caller", tool: #"{"name":"t","target":"external","execution":{"url":"http://127.0.0.1:\#(server.port)/"}}"#)
            #expect(try await place.events(waiting).last?.type == "run.completed")
            #expect(try await place.events(calling).last?.type == "run.completed")
            #expect(server.received.count == 1)
        }
        await server.close()
    }
}
