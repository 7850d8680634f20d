import Domain
import HsafaClient
import NIOHTTP1
import Postgres
import Storage
import TestSupport
import Testing

/// A gateway that is killed in the middle of a keyed creation.
@Suite(.serialized) struct KeyedCreationCrashTests {
    private struct LetGo: Error {}

    @Test func `a kill between the creation and its commit leaves nothing, and the same request then creates once`() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let key = try await environment.makeKey(scope)
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        @Sendable func create() async throws -> (status: Int, body: [UInt8], isReplayed: Bool) {
            let answer = try await client.raw(
                "POST", "/api/agents", headers: [("Idempotency-Key", "one")], body: Array(#"{"name":"contested"}"#.utf8))
            return (answer.status, answer.body, answer.headers.contains(name: "Idempotency-Replayed"))
        }
        // Somebody else writes the same name and has not committed: the creation stands still behind its record.
        let tenant = environment.database.tenant(scope)
        let (held, isHeld) = AsyncStream.makeStream(of: Void.self)
        let (released, release) = AsyncStream.makeStream(of: Void.self)
        let holder = Task {
            try? await tenant.inTransaction { other in
                _ = try await other.changes(by: .test).insertAgent(.generate(), name: "contested", description: nil)
                isHeld.finish()
                for await _ in released {}
                throw LetGo()
            }
        }
        for await _ in held {}
        let asked = Task { try? await create() }
        let isWaiting = try await eventually {
            let rows = try await environment.owner.query(
                """
                SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE a.datname = current_database() AND l.locktype IN ('transactionid', 'advisory') AND NOT l.granted
                """, lane: .alone)
            return try rows.first?.decode(0, as: Int.self) == 1
        }
        #expect(isWaiting)
        gateway.kill9()
        #expect(await asked.value == nil, "nobody was told that it was made")
        release.finish()
        await holder.value
        // Postgres notices the death of its client when it next writes to it.
        let isGone = try await eventually {
            let rows = try await environment.owner.query(
                """
                SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE a.datname = current_database() AND l.locktype = 'transactionid' AND pid <> pg_backend_pid()
                """, lane: .alone)
            return try rows.first?.decode(0, as: Int.self) == 0
        }
        #expect(isGone)
        func count(_ sql: SQL) async throws -> Int? {
            try await environment.app.query(sql, scope: scope.tenantID.description, lane: .alone).first?.decode(0, as: Int.self)
        }
        #expect(try await count("SELECT count(*) FROM hsafa.idempotency_keys WHERE tenant_id = \(scope.tenantID)") == 0)
        #expect(try await count("SELECT count(*) FROM hsafa.agents WHERE tenant_id = \(scope.tenantID)") == 0)

        try await gateway.start()
        let first = try await create()
        #expect(first.status == 201 && !first.isReplayed)
        // Killed after the commit this time: the answer is there for whoever asks again.
        gateway.kill9()
        try await gateway.start()
        let second = try await create()
        #expect(second.status == 201 && second.isReplayed && second.body == first.body)
        #expect(try await count("SELECT count(*) FROM hsafa.agents WHERE tenant_id = \(scope.tenantID)") == 1)
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
