import Argon2
import Cryptography
public import Domain
import Logging
import Postgres
import Storage
import Synchronization

/// Turns an API key into a principal. A key that was seen before costs an HMAC; a new one costs one argon2id, once for all who
/// present it at the same moment.
public final class Authenticator: Sendable {
    /// Where a verification stands; tests stop it there.
    enum Stage: Sendable {
        /// The secret is right; nothing is cached.
        case hashed
        /// The row was read again; nothing is cached.
        case readAgain
    }

    private typealias Waiter = CheckedContinuation<Result<Principal, GatewayError>?, Never>

    private let credentials: Credentials
    private let hasher: PasswordHasher
    private let failures: FailureLimiter
    private let secret = SecureRandom.bytes(32)
    let cache: PrincipalCache
    private let verifying = Mutex<[PrincipalCache.Digest: [Waiter]]>([:])
    private let atStage: (@Sendable (Stage) async -> Void)?
    private let logger: Logger
    public let hits: MetricCounter
    public let verifications: MetricCounter
    private let heldBack: MetricCounter

    /// Times that the row is read again when each time it has changed meanwhile.
    private static let maxReads = 4

    init(
        database: Database, hasher: PasswordHasher, failures: FailureLimiter = FailureLimiter(), cache: PrincipalCache = PrincipalCache(),
        metrics: MetricsRegistry, logger: Logger, atStage: (@Sendable (Stage) async -> Void)? = nil
    ) {
        credentials = Credentials(database)
        self.hasher = hasher
        self.failures = failures
        self.cache = cache
        self.atStage = atStage
        self.logger = logger
        hits = metrics.counter("hsafa_auth_cache_hits_total", help: "Requests whose key was known to this process.")
        verifications = metrics.counter("hsafa_auth_verifications_total", help: "Keys verified by argon2id.")
        heldBack = metrics.counter(
            "hsafa_auth_held_back_total", help: "Keys not looked at because their address had shown too many wrong ones.")
        metrics.gauge("hsafa_auth_cached_keys", help: "Keys known to this process.") { [cache] in Double(cache.count) }
        metrics.gauge("hsafa_auth_queued_hashes", help: "Hashes that wait for their turn.") { [hasher] in Double(hasher.queuedCount) }
    }

    /// `key` is the text behind `Bearer `. 401 for what is no valid key, 403 for a suspended tenant, 429 when too many wrong ones came
    /// from `address`, which is asked for unknown keys alone, 503 when it cannot be known.
    public func authenticate(
        bearer key: String?, from address: @Sendable () -> IPAddress? = { nil }
    ) async throws(GatewayError) -> Principal {
        guard let key, key.utf8.count == CredentialToken.length(.apiKey) else { throw .unauthorized }
        let digest = PrincipalCache.Digest(bytes: HMACSHA256.authenticate(Array(key.utf8), key: secret))
        guard let entry = cache.find(digest) else {
            // What is in the cache has been through this.
            guard let token = CredentialToken(key, kind: .apiKey) else { throw .unauthorized }
            return try await verifyOnce(token, digest, address())
        }
        if !cache.trusts(entry, at: cache.now), entry.beginCheck() {
            defer { entry.endCheck() }
            try await recheck(entry, digest)
        }
        hits.add()
        return try Self.admit(entry)
    }

    /// What is asked at every hit.
    private static func admit(_ entry: PrincipalCache.Entry) throws(GatewayError) -> Principal {
        let principal = entry.principal
        let now = Timestamp.now()
        if let expiresAt = principal.expiresAt, expiresAt <= now { throw .unauthorized }
        if entry.isTenantSuspended { throw .tenantSuspended }
        entry.use(at: now)
        return principal
    }

    private func read(_ publicID: String) async throws(GatewayError) -> APIKeyRecord? {
        do { return try await credentials.apiKey(publicID: publicID) } catch {
            throw .unavailable("The gateway cannot check keys right now; try again.", cause: "\(error)")
        }
    }

    /// A read of the row tells whether the cached principal still stands.
    private func recheck(_ entry: PrincipalCache.Entry, _ digest: PrincipalCache.Digest) async throws(GatewayError) {
        let began = cache.now
        let record = try await read(entry.publicID)
        guard let record, record.generation == entry.principal.generation, !record.isRevoked else {
            cache.remove(digest)
            throw .unauthorized
        }
        entry.note(tenantGeneration: record.tenantGeneration, isSuspended: record.isTenantSuspended)
        entry.checked(at: began)
    }

    /// The first who brings an unknown key verifies it; those who bring the same one meanwhile share the answer.
    private func verifyOnce(
        _ token: CredentialToken, _ digest: PrincipalCache.Digest, _ address: IPAddress?
    ) async throws(GatewayError) -> Principal {
        let isFirst = verifying.withLock { verifying -> Bool in
            if verifying[digest] != nil { return false }
            verifying[digest] = []
            return true
        }
        if isFirst {
            let result: Result<Principal, GatewayError>
            do throws(GatewayError) { result = .success(try await verify(token, digest, address)) } catch { result = .failure(error) }
            let waiters = verifying.withLock { $0.removeValue(forKey: digest) ?? [] }
            for waiter in waiters { waiter.resume(returning: result) }
            return try result.get()
        }
        let shared = await withCheckedContinuation { (continuation: Waiter) in
            let isLate = verifying.withLock { verifying -> Bool in
                guard verifying[digest] != nil else { return true }
                verifying[digest]?.append(continuation)
                return false
            }
            // The first finished between the two locks: its answer is in the cache, or is a refusal that is cheap to repeat.
            if isLate { continuation.resume(returning: nil) }
        }
        guard let shared else { return try await authenticate(bearer: token.text) { address } }
        return try shared.get()
    }

    // MARK: Verification

    private func verify(
        _ token: CredentialToken, _ digest: PrincipalCache.Digest, _ address: IPAddress?
    ) async throws(GatewayError) -> Principal {
        if let seconds = failures.wait(address) {
            heldBack.add()
            throw .tooManyFailures(retryAfterSeconds: seconds)
        }
        let record: APIKeyRecord
        do throws(GatewayError) {
            record = try await proven(token)
        } catch {
            // Only a key that was looked at and is wrong counts.
            if error.status == 401 { failures.failed(address) }
            throw error
        }
        await rehashIfWeak(token, record)
        await atStage?(.hashed)
        return try await keep(token, digest)
    }

    /// The row of a key whose secret is right.
    private func proven(_ token: CredentialToken) async throws(GatewayError) -> APIKeyRecord {
        guard let record = try await read(token.id), !record.isRevoked, record.expiresAt.map({ $0 > .now() }) ?? true else {
            throw .unauthorized
        }
        verifications.add()
        let isRight: Bool
        do { isRight = try await hasher.verify(Array(token.text.utf8), against: record.secretHash) } catch {
            if case .overloaded = error { throw .hashesOverloaded }
            throw .unavailable("The gateway cannot check keys right now; try again.", cause: "\(error)")
        }
        guard isRight else { throw .unauthorized }
        return record
    }

    /// Hashing takes a while, and the key may have been revoked meanwhile: its row is read again, and what is heard between that read
    /// and the cache's lock keeps the key out of the cache. A public id belongs to one secret for ever, so finding the row by it again
    /// means that the secret is still the right one.
    private func keep(_ token: CredentialToken, _ digest: PrincipalCache.Digest) async throws(GatewayError) -> Principal {
        for read in 1... {
            let began = cache.now
            guard let record = try await self.read(token.id), !record.isRevoked else { throw .unauthorized }
            await atStage?(.readAgain)
            let entry = PrincipalCache.Entry(record, publicID: token.id, checkedAt: began)
            if cache.insert(entry, for: digest) { return try Self.admit(entry) }
            // A key that changes all the time is served as it was just read, and not kept.
            guard read < Self.maxReads else {
                let principal = try Self.admit(entry)
                cache.note([KeyUse(tenantID: principal.scope.tenantID, keyID: principal.keyID, at: .now())])
                return principal
            }
        }
        throw .unauthorized
    }

    /// The operator has raised the costs since this hash was made. What goes wrong here is tried again at the key's next cold use; so
    /// is what comes while others wait, for keys that want in go before hashes that want to be better.
    private func rehashIfWeak(_ token: CredentialToken, _ record: APIKeyRecord) async {
        guard hasher.isWeak(record.secretHash), hasher.queuedCount == 0 else { return }
        do {
            let hash = try await hasher.hash(Array(token.text.utf8), salt: SecureRandom.bytes(hasher.saltBytes))
            _ = try await credentials.rehash(record, to: hash)
        } catch {
            logger.notice("a key's hash stays as it is", metadata: ["keyId": "\(record.keyID)", "cause": "\(error)"])
        }
    }

    // MARK: Use

    /// Writes down when keys were last used, in one statement.
    func flushUses() async {
        let uses = cache.takeUses()
        guard !uses.isEmpty else { return }
        do { try await credentials.note(uses) } catch {
            cache.note(uses)
            logger.warning("uses of keys not written; trying again", metadata: ["keys": "\(uses.count)", "cause": "\(error)"])
        }
    }

    func runFlush() async {
        while (try? await Task.sleep(for: .seconds(Limits.keyUseFlushSeconds))) != nil { await flushUses() }
    }
}

extension GatewayError {
    static let hashesOverloaded = GatewayError.unavailable(
        "Too many new keys are being checked; try again in a second.", cause: "the hash queue is full")
}
