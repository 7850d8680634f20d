import Argon2
import Cryptography
import Domain
import Postgres
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Runtime

/// Verification and its races, each forced where it hurts.
@Suite(.timeLimit(.minutes(5)))
struct AuthenticatorTests {
    private struct Key {
        let scope: TenantScope
        let id: APIKeyID
        let text: String
        let hash: String
    }

    private static let cheap = Argon2Parameters(memoryKiB: 64, iterations: 1)

    private func makeKey(_ environment: TestEnvironment) async throws -> Key {
        let scope = try await environment.makeTenant()
        let (token, hash) = try await TestEnvironment.makeSecret()
        let id = try await Bootstrap(owner: environment.owner).insertKey(
            tenant: scope.tenantID, publicID: token.id, name: "test", secretHash: hash, scopes: [.runsRead], isAdmin: false)
        return Key(scope: scope, id: id, text: token.text, hash: hash)
    }

    private func authenticator(
        _ environment: TestEnvironment, parameters: Argon2Parameters = cheap,
        atStage: (@Sendable (Authenticator.Stage) async -> Void)? = nil
    ) -> Authenticator {
        Authenticator(
            database: environment.database, hasher: PasswordHasher(threads: 1, maxQueued: 64, parameters: parameters),
            metrics: MetricsRegistry(), logger: environment.logger, atStage: atStage)
    }

    private func status(_ authenticator: Authenticator, _ key: String) async -> Int {
        do throws(GatewayError) {
            _ = try await authenticator.authenticate(bearer: key)
            return 200
        } catch { return error.status }
    }

    /// Runs once, at a stage of the first verification.
    private final class Once: Sendable {
        private let isDone = Atomic<Bool>(false)
        func run(_ body: () async -> Void) async { if !isDone.exchange(true, ordering: .relaxed) { await body() } }
    }

    @Test(arguments: [Authenticator.Stage.hashed, .readAgain])
    func `a key revoked while it is being verified never enters the cache`(_ moment: Authenticator.Stage) async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let once = Once()
        let cache = Mutex<PrincipalCache?>(nil)
        let authenticator = authenticator(environment) { stage in
            guard stage == moment else { return }
            await once.run {
                let revoked = try? await environment.database.tenant(key.scope).changes(by: .test).revokeKey(key.id)
                // The message comes while the verification is under way; without the row's new generation it would be lost on it.
                let generation = revoked?.generation ?? 0
                cache.withLock { $0 }?.apply(
                    AccessChanges(keys: [.init(tenantID: key.scope.tenantID, keyID: key.id, generation: generation)]))
            }
        }
        cache.withLock { $0 = authenticator.cache }
        #expect(await status(authenticator, key.text) == 401)
        #expect(authenticator.cache.count == 0)
        #expect(await status(authenticator, key.text) == 401)
    }

    @Test func `a key revoked right behind the last read leaves the cache with the next look, though no message came`() async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let credentials = Credentials(environment.database)
        let since = try #require(try await credentials.changes(since: nil).readAt)
        let once = Once()
        let authenticator = authenticator(environment) { stage in
            guard stage == .readAgain else { return }
            await once.run { _ = try? await environment.database.tenant(key.scope).changes(by: .test).revokeKey(key.id) }
        }
        // As of its last read it was good.
        #expect(await status(authenticator, key.text) == 200)
        authenticator.cache.apply(try await credentials.changes(since: since.adding(seconds: -Limits.accessPollOverlapSeconds)))
        #expect(authenticator.cache.count == 0)
        #expect(await status(authenticator, key.text) == 401)
    }

    @Test func `a key rotated while it is being verified is kept with the end of its overlap`() async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let (next, hash) = try await TestEnvironment.makeSecret()
        let once = Once()
        let authenticator = authenticator(environment) { stage in
            guard stage == .hashed else { return }
            await once.run {
                _ = try? await environment.database.tenant(key.scope).changes(by: .test).rotateKey(
                    key.id, generation: 1, SecretRow(publicID: next.id, hash: hash), overlapSeconds: 600, expiresAt: nil, issuer: nil)
            }
        }
        let principal = try await authenticator.authenticate(bearer: key.text)
        #expect(principal.generation == 2)
        #expect(try #require(principal.expiresAt) <= Timestamp.now().adding(seconds: 600))
        #expect(authenticator.cache.count == 1)
        #expect(try await authenticator.authenticate(bearer: next.text).expiresAt == nil)
    }

    @Test func `a commit that came late is found by the look that reaches back before the last one`() async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let credentials = Credentials(environment.database)
        let seen = try await environment.owner.withTransaction(scope: key.scope.tenantID.description) { transaction in
            _ = try await transaction.query(
                """
                UPDATE hsafa.api_keys SET revoked_at = now() WHERE tenant_id = \(key.scope.tenantID) AND key_id = \(key.id)
                """)
            // Another replica looks before this commits: it sees nothing, and its clock has passed the change.
            let look = try await credentials.changes(since: Timestamp.now().adding(seconds: -5))
            #expect(!look.keys.contains { $0.keyID == key.id })
            return try #require(look.readAt)
        }
        let next = try await credentials.changes(since: seen.adding(seconds: -Limits.accessPollOverlapSeconds))
        #expect(next.keys.contains { $0.keyID == key.id && $0.generation == 2 })
    }

    @Test func `a hash of lower cost is made anew at the key's next cold use, and only then`() async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let credentials = Credentials(environment.database)
        let publicID = try #require(CredentialToken(key.text, kind: .apiKey)).id
        let raised = Argon2Parameters(memoryKiB: 128, iterations: 2)
        let before = try #require(try await credentials.apiKey(publicID: publicID))
        #expect(await status(authenticator(environment, parameters: raised), key.text) == 200)
        let after = try #require(try await credentials.apiKey(publicID: publicID))
        #expect(after.secretHash.hasPrefix("$argon2id$v=19$m=128,t=2,p=1$"))
        // The same secret: nobody's cache is to notice.
        #expect(after.generation == before.generation)
        // A process with lower parameters leaves it alone, and it still verifies.
        #expect(await status(authenticator(environment), key.text) == 200)
        #expect(try await credentials.apiKey(publicID: publicID)?.secretHash == after.secretHash)
        // A rotation that came between leaves nothing for a re-hash of the old secret to overwrite.
        let (next, hash) = try await TestEnvironment.makeSecret()
        let changes = environment.database.tenant(key.scope).changes(by: .test)
        _ = try await changes.rotateKey(
            key.id, generation: 1, SecretRow(publicID: next.id, hash: hash), overlapSeconds: 0, expiresAt: nil, issuer: nil)
        #expect(try await !credentials.rehash(after, to: "$argon2id$lost"))
        #expect(try await credentials.apiKey(publicID: next.id)?.secretHash == hash)
    }

    @Test func `beyond the hash queue keys get 503 with a time to try again, and that is no failure of theirs`() async throws {
        let environment = try await TestEnvironment.start()
        let scope = try await environment.makeTenant()
        // Right ids with other secrets, so that each of them costs a hash.
        let hasher = PasswordHasher(threads: 1, maxQueued: 3, parameters: Self.cheap)
        let other = try await hasher.hash(Array("another secret".utf8), salt: SecureRandom.bytes(16))
        var keys: [String] = []
        for _ in 0..<12 {
            let token = CredentialToken.generate(.apiKey)
            _ = try await Bootstrap(owner: environment.owner).insertKey(
                tenant: scope.tenantID, publicID: token.id, name: "wrong", secretHash: other, scopes: [.runsRead], isAdmin: false)
            keys.append(token.text)
        }
        let failures = FailureLimiter(most: 12, perSecond: 1e-9)
        let authenticator = Authenticator(
            database: environment.database, hasher: hasher, failures: failures, metrics: MetricsRegistry(), logger: environment.logger)
        let address = try #require(IPAddress("203.0.113.9"))
        // The one thread is busy until nine were refused: three find room in the queue.
        let gate = await HashGate(closing: hasher)
        let errors = await withTaskGroup(of: GatewayError?.self, returning: [GatewayError?].self) { group in
            for key in keys {
                group.addTask {
                    do throws(GatewayError) {
                        _ = try await authenticator.authenticate(bearer: key) { address }
                        return nil
                    } catch { return error }
                }
            }
            var errors: [GatewayError?] = []
            for await error in group {
                errors.append(error)
                if errors.count == 9 { gate.open() }
            }
            return errors
        }
        #expect(errors.map { $0?.status } == Array(repeating: 503, count: 9) + Array(repeating: 401, count: 3))
        #expect(errors.prefix(9).allSatisfy { $0?.retryAfterSeconds != nil })
        #expect(hasher.queuedCount == 0)
        var left = 0
        while failures.wait(address) == nil {
            failures.failed(address)
            left += 1
        }
        #expect(left == 9, "a key that was not looked at is no wrong one")
    }

    @Test func `changes of other keys drop nothing, and an older change drops nothing that was verified after it`() async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let authenticator = authenticator(environment)
        #expect(await status(authenticator, key.text) == 200)
        let cache = authenticator.cache
        cache.apply(
            AccessChanges(keys: [
                .init(tenantID: key.scope.tenantID, keyID: .generate(), generation: 9),
                .init(tenantID: key.scope.tenantID, keyID: key.id, generation: 1),
            ]))
        #expect(cache.count == 1)
        cache.apply(AccessChanges(tenants: [.init(tenantID: key.scope.tenantID, generation: 2, isSuspended: true)]))
        #expect(await status(authenticator, key.text) == 403)
        cache.apply(AccessChanges(tenants: [.init(tenantID: key.scope.tenantID, generation: 3, isSuspended: false)]))
        // Heard late: the tenant was resumed since.
        cache.apply(AccessChanges(tenants: [.init(tenantID: key.scope.tenantID, generation: 2, isSuspended: true)]))
        #expect(await status(authenticator, key.text) == 200)
        #expect(authenticator.verifications.current == 1)
    }

    @Test func `more changes than can be read make every key be checked against its row, without a hash`() async throws {
        let environment = try await TestEnvironment.start()
        let key = try await makeKey(environment)
        let authenticator = authenticator(environment)
        #expect(await status(authenticator, key.text) == 200)
        _ = try await environment.owner.query(
            "UPDATE hsafa.api_keys SET revoked_at = now() WHERE tenant_id = \(key.scope.tenantID) AND key_id = \(key.id)",
            scope: key.scope.tenantID.description, lane: .alone)
        #expect(await status(authenticator, key.text) == 200)
        var changes = AccessChanges()
        changes.isIncomplete = true
        authenticator.cache.apply(changes)
        #expect(await status(authenticator, key.text) == 401)
        #expect(authenticator.verifications.current == 1)
        #expect(try await Credentials(environment.database).changes(since: Timestamp.now().adding(seconds: -60), limit: 0).isIncomplete)
    }

    @Test func `a look that reaches back to what may be gone believes nothing that is cached`() async throws {
        let environment = try await TestEnvironment.start()
        let credentials = Credentials(environment.database)
        func isIncomplete(_ seconds: Int) async throws -> Bool {
            try await credentials.changes(since: Timestamp.now().adding(seconds: -seconds)).isIncomplete
        }
        #expect(try await !isIncomplete(Limits.accessChangesSeconds - 600))
        #expect(try await isIncomplete(3600))
        #expect(try await !credentials.changes(since: nil).isIncomplete, "a process that begins has cached nothing")
    }

    @Test func `a full cache lets the oldest go and keeps what it knows of its use`() async throws {
        let environment = try await TestEnvironment.start()
        let keys = try await [makeKey(environment), makeKey(environment), makeKey(environment)]
        let authenticator = Authenticator(
            database: environment.database, hasher: PasswordHasher(threads: 1, maxQueued: 8, parameters: Self.cheap),
            cache: PrincipalCache(capacity: 2), metrics: MetricsRegistry(), logger: environment.logger)
        for key in keys { #expect(await status(authenticator, key.text) == 200) }
        #expect(authenticator.cache.count == 2)
        await authenticator.flushUses()
        for key in keys {
            #expect(try await environment.database.tenant(key.scope).apiKey(key.id)?.lastUsedAt != nil)
        }
        #expect(authenticator.cache.takeUses().isEmpty)
    }
}
