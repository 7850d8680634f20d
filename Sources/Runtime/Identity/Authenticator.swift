import Argon2
import Cryptography
public import Domain
import Logging
import Postgres
import Storage
import Synchronization

/// Turns an API key into a principal. A key that was seen before costs an HMAC; a new one costs one argon2id, once for all who
/// present it at the same moment. What was seen is checked against its row every few seconds, without hashing.
public final class Authenticator: Sendable {
    private struct Digest: Hashable, Sendable { let bytes: [UInt8] }

    private struct Entry: Sendable {
        let principal: Principal
        let publicID: String
        let generation: Int32
        var checkedAt: ContinuousClock.Instant
        var isBeingChecked = false
    }

    private typealias Waiter = CheckedContinuation<Result<Principal, GatewayError>?, Never>

    private struct State {
        var entries: [Digest: Entry] = [:]
        var verifying: [Digest: [Waiter]] = [:]
    }

    private let credentials: Credentials
    private let hasher: PasswordHasher
    private let secret = SecureRandom.bytes(32)
    private let state = Mutex(State())
    private let logger: Logger
    public let hits: MetricCounter
    public let verifications: MetricCounter

    init(database: Database, hasher: PasswordHasher, metrics: MetricsRegistry, logger: Logger) {
        credentials = Credentials(database)
        self.hasher = hasher
        self.logger = logger
        hits = metrics.counter("hsafa_auth_cache_hits_total", help: "Requests whose key was known to this process.")
        verifications = metrics.counter("hsafa_auth_verifications_total", help: "Keys verified by argon2id.")
    }

    /// `key` is the text behind `Bearer `. 401 for what is no valid key, 403 for a suspended tenant, 503 when it cannot be known.
    public func authenticate(bearer key: String?) async throws(GatewayError) -> Principal {
        guard let key, let token = CredentialToken(key, kind: .apiKey) else { throw .unauthorized }
        let digest = Digest(bytes: HMACSHA256.authenticate(Array(key.utf8), key: secret))
        let now = ContinuousClock.now
        enum Known { case fresh(Principal), stale(Entry), unknown }
        let known = state.withLock { state -> Known in
            guard let entry = state.entries[digest] else { return .unknown }
            if entry.isBeingChecked || now - entry.checkedAt < .seconds(Limits.principalRecheckSeconds) { return .fresh(entry.principal) }
            state.entries[digest]?.isBeingChecked = true
            return .stale(entry)
        }
        switch known {
        case .fresh(let principal):
            hits.add()
            try Self.requireUnexpired(principal)
            return principal
        case .stale(let entry): return try await recheck(entry, digest)
        case .unknown: return try await verifyOnce(token, digest)
        }
    }

    private static func requireUnexpired(_ principal: Principal) throws(GatewayError) {
        if let expiresAt = principal.expiresAt, expiresAt <= .now() { throw .unauthorized }
    }

    /// A read of the row tells whether the cached principal still stands.
    private func recheck(_ entry: Entry, _ digest: Digest) async throws(GatewayError) -> Principal {
        let record: APIKeyRecord?
        do { record = try await credentials.apiKey(publicID: entry.publicID) } catch {
            state.withLock { $0.entries[digest]?.isBeingChecked = false }
            throw .unavailable("The gateway cannot check keys right now; try again.", cause: "\(error)")
        }
        guard let record, record.generation == entry.generation, !record.isRevoked else {
            state.withLock { $0.entries[digest] = nil }
            throw .unauthorized
        }
        state.withLock { state in
            state.entries[digest]?.checkedAt = .now
            state.entries[digest]?.isBeingChecked = false
        }
        if record.isTenantSuspended {
            state.withLock { $0.entries[digest] = nil }
            throw Self.suspended
        }
        try Self.requireUnexpired(entry.principal)
        return entry.principal
    }

    private static let suspended = GatewayError(
        status: 403, code: "tenant_suspended", detail: "This tenant is suspended; ask the operator of the gateway to resume it.")

    /// The first who brings an unknown key verifies it; those who bring the same one meanwhile share the answer.
    private func verifyOnce(_ token: CredentialToken, _ digest: Digest) async throws(GatewayError) -> Principal {
        let isFirst = state.withLock { state -> Bool in
            if state.verifying[digest] != nil { return false }
            state.verifying[digest] = []
            return true
        }
        if isFirst {
            let result: Result<Principal, GatewayError>
            do throws(GatewayError) { result = .success(try await verify(token, digest)) } catch { result = .failure(error) }
            let waiters = state.withLock { $0.verifying.removeValue(forKey: digest) ?? [] }
            for waiter in waiters { waiter.resume(returning: result) }
            return try result.get()
        }
        let shared = await withCheckedContinuation { (continuation: Waiter) in
            let isLate = state.withLock { state -> Bool in
                guard state.verifying[digest] != nil else { return true }
                state.verifying[digest]?.append(continuation)
                return false
            }
            // The first finished between the two locks: its answer is in the cache, or is a refusal that is cheap to repeat.
            if isLate { continuation.resume(returning: nil) }
        }
        guard let shared else { return try await authenticate(bearer: token.text) }
        return try shared.get()
    }

    private func verify(_ token: CredentialToken, _ digest: Digest) async throws(GatewayError) -> Principal {
        let record: APIKeyRecord?
        do { record = try await credentials.apiKey(publicID: token.id) } catch {
            throw .unavailable("The gateway cannot check keys right now; try again.", cause: "\(error)")
        }
        guard let record, !record.isRevoked else { throw .unauthorized }
        verifications.add()
        let isRight: Bool
        do { isRight = try await hasher.verify(Array(token.text.utf8), against: record.secretHash) } catch {
            if case .overloaded = error {
                throw .unavailable("Too many new keys are being checked; try again in a second.", cause: "the hash queue is full")
            }
            throw .unavailable("The gateway cannot check keys right now; try again.", cause: "\(error)")
        }
        guard isRight else { throw .unauthorized }
        if record.isTenantSuspended { throw Self.suspended }
        let principal = Principal(
            keyID: record.keyID, scope: record.scope, scopes: record.scopes, isAdmin: record.isAdmin, expiresAt: record.expiresAt)
        try Self.requireUnexpired(principal)
        state.withLock { state in
            if state.entries.count >= Limits.maxCachedPrincipals {
                // Oldest check first; a rare event, so a scan is fine.
                if let oldest = state.entries.min(by: { $0.value.checkedAt < $1.value.checkedAt })?.key { state.entries[oldest] = nil }
            }
            state.entries[digest] = Entry(
                principal: principal, publicID: token.id, generation: record.generation, checkedAt: .now)
        }
        return principal
    }
}
