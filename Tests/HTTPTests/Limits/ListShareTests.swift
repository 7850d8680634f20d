import Domain
import Postgres
import TestSupport
import Testing

@testable import GatewayHTTP

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

    @Test func `who waited for a turn in vain, and whose statement took too long, is told so, and not that the database is away`() {
        func told(_ code: PostgresError.Code, _ sqlState: String? = nil) -> String {
            let error = ErrorTranslator.translate(PostgresError(code, "as the log has it", sqlState: sqlState))
            #expect(error.status == 503 && error.code == "unavailable" && error.retryAfterSeconds == 1)
            #expect(error.cause?.contains("as the log has it") == true && !error.detail.contains("as the log has it"))
            return error.detail
        }
        #expect(told(.turn).contains("the turn of this one did not come in time"))
        #expect(told(.scopeQueueFull).contains("of this tenant wait already"))
        #expect(told(.timeout, "57014").contains("took too long"))
        for code in [PostgresError.Code.connection, .queueFull, .shutDown] { #expect(told(code).contains("cannot be reached")) }
        #expect(told(.server, "53300").contains("is busy"))
    }
}
