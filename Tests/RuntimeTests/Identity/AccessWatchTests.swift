import Argon2
import Domain
import Postgres
import Redis
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Runtime

/// What the watch makes of the rows; that a message makes it look, `RevocationTests` show.
@Suite(.timeLimit(.minutes(5)))
struct AccessWatchTests {
    @Test func `a change that commits after a look which was begun behind it is told by the next`() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let (token, hash) = try await TestEnvironment.makeSecret()
        let key = try await Bootstrap(owner: environment.owner).insertKey(
            tenant: scope.tenantID, publicID: token.id, name: "late", secretHash: hash, scopes: [.runsRead], isAdmin: false)
        let told = Mutex<[APIKeyID]>([])
        let watch = AccessWatch(
            database: environment.database, cache: PrincipalCache(), subscriber: environment.subscriber,
            wakeups: Wakeups(environment.redis), interval: .seconds(3600), metrics: MetricsRegistry(), logger: environment.logger
        ) { changes in
            told.withLock { $0 += changes.keys.map(\.keyID) }
        } tick: {
        }
        await watch.poll()
        try await environment.owner.withTransaction(scope: scope.tenantID.description) { transaction in
            _ = try await transaction.query(
                "UPDATE hsafa.api_keys SET revoked_at = now() WHERE tenant_id = \(scope.tenantID) AND key_id = \(key)")
            // The clock of this look has passed the change, and it cannot see it.
            await watch.poll()
            #expect(!told.withLock { $0.contains(key) })
        }
        await watch.poll()
        #expect(told.withLock { $0.contains(key) })
        #expect(watch.polls.current == 3)
    }

    @Test func `a key's uses are one write for many requests`() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        let (token, hash) = try await TestEnvironment.makeSecret()
        let key = try await Bootstrap(owner: environment.owner).insertKey(
            tenant: scope.tenantID, publicID: token.id, name: "busy", secretHash: hash, scopes: [.runsRead], isAdmin: false)
        let authenticator = Authenticator(
            database: environment.database,
            hasher: PasswordHasher(threads: 1, maxQueued: 64, parameters: Argon2Parameters(memoryKiB: 64, iterations: 1)),
            metrics: MetricsRegistry(), logger: environment.logger)
        // The row's version: the transaction that wrote it last.
        func version() async throws -> String {
            let rows = try await environment.owner.query(
                "SELECT xmin::text FROM hsafa.api_keys WHERE tenant_id = \(scope.tenantID) AND key_id = \(key)",
                scope: scope.tenantID.description)
            return try #require(rows.first).decode(0)
        }
        let fresh = try await version()
        for _ in 0..<100 { _ = try await authenticator.authenticate(bearer: token.text) }
        #expect(try await version() == fresh)
        await authenticator.flushUses()
        let used = try await version()
        #expect(used != fresh)
        // Nothing was used since, so nothing is written.
        await authenticator.flushUses()
        #expect(try await version() == used)
    }
}
