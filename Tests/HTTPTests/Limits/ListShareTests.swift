import Postgres
import TestSupport
import Testing

/// Lists have connections of their own, and each tenant its share of them.
@Suite(.timeLimit(.minutes(5)))
struct ListShareTests {
    @Test func `a tenant whose lists hang delays neither its own reads nor another tenant's reads and lists`() async throws {
        // A database of its own: what holds its audit log up would hold up other tests.
        let gateway = try await TestGateway.running(in: try await .fresh())
        let slow = try await TestTenant.make(on: gateway)
        let other = try await TestTenant.make(on: gateway)
        let owner = gateway.environment.owner
        let run = try await other.run(steps: [Config.says])
        _ = try await other.events(run)
        // What is asked below is in the caches, so that nothing but lists asks for the log.
        for tenant in [slow, other] { #expect(try await tenant.send("GET", "/api/audit").status == 200) }

        @Sendable func waiting() async throws -> Int {
            let rows = try await owner.query(
                "SELECT count(*) FROM pg_locks WHERE relation = 'hsafa.audit_log'::regclass AND NOT granted")
            return try rows.first?.decode(0, as: Int.self) ?? 0
        }
        let held = try await owner.withTransaction { transaction in
            _ = try await transaction.query("LOCK TABLE hsafa.audit_log IN ACCESS EXCLUSIVE MODE")
            let held = (0..<8).map { _ in Task { try await slow.send("GET", "/api/audit?actor=nobody").status } }
            #expect(try await eventually { try await waiting() == 1 })

            for path in ["/api/runs", "/api/agents", "/api/keys", "/api/runs/\(run)", "/api/runs/\(run)/events", "/api/usage"] {
                #expect(try await other.send("GET", path).status == 200, "\(path)")
            }
            #expect(try await slow.send("GET", "/api/runs/\(run)").status == 404)
            // One of the eight is under way, and not one more.
            #expect(try await waiting() == 1)
            return held
        }
        var answers: [Int] = []
        for task in held { answers.append(try await task.value) }
        #expect(answers == Array(repeating: 200, count: 8))
    }
}
