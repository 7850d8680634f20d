import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

struct IdempotencyTests {
    private func request(_ key: String = "k", principal: APIKeyID = .generate(), body: String = "b") throws -> IdempotentRequest {
        IdempotentRequest(
            try #require(IdempotencyKey(header: key)), principalID: principal, operation: "createRun", method: "POST", path: "/api/runs",
            query: nil, contentType: "application/json", body: Array(body.utf8))
    }

    private let answer = CreationAnswer(status: 201, location: "/here", body: RawJSON(#"{"a": "\u0000", "b":1.0}"#))

    private func keep(_ request: IdempotentRequest, _ answer: CreationAnswer, in tenant: TenantDatabase) async throws -> Bool {
        try await tenant.inTransaction { tenant in
            guard try await tenant.takeIdempotencySlot(request, waitMilliseconds: 1000) else { return false }
            try await tenant.keepAnswer(answer, of: request)
            return true
        }
    }

    @Test func `a slot is taken once, and its answer comes back byte for byte`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let request = try request()
            #expect(try await tenant.idempotencyRecord(request) == nil)
            #expect(try await keep(request, answer, in: tenant))
            #expect(try await !keep(request, answer, in: tenant))
            let record = try #require(try await tenant.idempotencyRecord(request))
            #expect(record.fingerprint == request.fingerprint)
            guard case .answer(let kept) = record.answer else { throw Missing() }
            #expect(kept.status == 201 && kept.location == "/here" && kept.body.bytes == answer.body.bytes)
        }
    }

    private struct Missing: Error {}

    @Test func `an answer with a secret is not stored`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let tenant = db.database.tenant(scope)
            let request = try request()
            let secret = CreationAnswer(status: 201, location: nil, body: RawJSON(#"{"token":"hush"}"#), secretID: "the-id")
            #expect(try await keep(request, secret, in: tenant))
            guard case .secret(let id, _) = try await tenant.idempotencyRecord(request)?.answer else { throw Missing() }
            #expect(id == "the-id")
            let rows = try await db.app.query(
                "SELECT k::text FROM hsafa.idempotency_keys k WHERE tenant_id = \(scope.tenantID)", scope: scope.tenantID.description)
            let text = try #require(try rows.first?.decode(0, as: String.self))
            #expect(!text.contains("hush"))
        }
    }

    @Test func `what is rolled back leaves the slot free`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let request = try request()
            await #expect(throws: Missing.self) {
                try await tenant.inTransaction { tenant in
                    #expect(try await tenant.takeIdempotencySlot(request, waitMilliseconds: 1000))
                    throw Missing()
                }
            }
            #expect(try await tenant.idempotencyRecord(request) == nil)
            #expect(try await keep(request, answer, in: tenant))
        }
    }

    @Test func `a twin waits for the slot, and no longer than it was told`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let request = try request()
            try await tenant.inTransaction { (holder: TenantDatabase) async throws -> Void in
                let isTaken = try await holder.takeIdempotencySlot(request, waitMilliseconds: 1000)
                #expect(isTaken)
                let start = ContinuousClock.now
                let error = await postgresError {
                    try await tenant.inTransaction { try await $0.takeIdempotencySlot(request, waitMilliseconds: 300) }
                }
                #expect(error?.sqlState == "55P03")
                #expect(ContinuousClock.now - start > .milliseconds(250))
            }
        }
    }

    @Test func `another principal or tenant has slots of its own`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let principal = APIKeyID.generate()
            #expect(try await keep(try request(principal: principal), answer, in: tenant))
            #expect(try await keep(try request(principal: .generate()), answer, in: tenant))
            let other = db.database.tenant(try await db.makeTenant())
            #expect(try await other.idempotencyRecord(try request(principal: principal)) == nil)
            #expect(try await keep(try request(principal: principal), answer, in: other))
        }
    }

    @Test func `a record that has run out is gone, may be taken over, and is swept`() async throws {
        try await StorageDatabase.with { db in
            let scope = try await db.makeTenant()
            let tenant = db.database.tenant(scope)
            let requests = try (0..<3).map { try request("k\($0)") }
            for request in requests { #expect(try await keep(request, answer, in: tenant)) }
            try await db.asOwner(
                scope,
                """
                UPDATE hsafa.idempotency_keys SET expires_at = now() - interval '1 second'
                WHERE tenant_id = \(scope.tenantID) AND slot <> \(PostgresBytea(requests[2].slot))
                """)
            #expect(try await tenant.idempotencyRecord(requests[0]) == nil)
            #expect(try await keep(requests[0], answer, in: tenant))
            #expect(try await tenant.idempotencyRecord(requests[0]) != nil)
            // One record is left that has run out; another suite's may be swept along with it.
            #expect(try await db.database.sweepIdempotencyKeys(limit: 1000) >= 1)
            #expect(try await db.database.sweepIdempotencyKeys(limit: 1000) == 0)
            let rows = try await db.app.query(
                "SELECT count(*) FROM hsafa.idempotency_keys WHERE tenant_id = \(scope.tenantID)", scope: scope.tenantID.description)
            #expect(try rows.first?.decode(0, as: Int.self) == 2)
        }
    }

    @Test func `repositories inside a transaction are part of it`() async throws {
        try await StorageDatabase.with { db in
            let tenant = db.database.tenant(try await db.makeTenant())
            let id = AgentID.generate()
            await #expect(throws: Missing.self) {
                try await tenant.inTransaction { inside in
                    #expect(try await inside.changes(by: .test).insertAgent(id, name: "a", description: nil).record != nil)
                    // What opens a transaction by itself joins this one.
                    let outcome = try await inside.changes(by: .test).publish(
                        id, version: nil, config: RawJSON("{}"), configHash: "h", metadata: nil)
                    guard case .created = outcome else { throw PostgresError(.decoding, "\(outcome)") }
                    #expect(try await inside.agent(id)?.currentVersionID != nil)
                    #expect(try await tenant.agent(id) == nil, "nobody else sees it yet")
                    throw Missing()
                }
            }
            #expect(try await tenant.agent(id) == nil)
        }
    }
}
