import Cryptography
public import Domain
import JSON
import Postgres
public import Storage
import Synchronization

/// A run token's text, shown this once.
public struct IssuedRunToken: Sendable {
    public let text: String
    public let tokenID: RunTokenID
    public let runID: RunID
    public let grants: [RunTokenGrant]
    public let createdAt: Timestamp
    public let expiresAt: Timestamp
}

/// What a page is to get.
public struct RunTokenRequest: Sendable {
    public let grants: Set<RunTokenGrant>
    public let seconds: Int

    public init(grants: Set<RunTokenGrant>, seconds: Int) {
        self.grants = grants
        self.seconds = seconds
    }
}

/// Tokens of one run each, for pages: made by a key, good until the run's end, a day at most, and only as long as that key. Nothing of
/// them is cached: each request reads its token's row, so what was taken away is away at once, and a look-up costs less than a hash.
public final class RunTokenService: Sendable {
    private let database: Database
    private let credentials: Credentials
    private let watch: AccessWatch
    private let failures: FailureLimiter
    private let share = RunTokenShare()
    /// SHA-256 of tokens that were right before, of this process.
    private let known = Mutex<Set<[UInt8]>>([])
    private let lookups: MetricCounter
    private let heldBack: MetricCounter
    private let refusedRequests: MetricCounter
    private let refusedStreams: MetricCounter

    init(database: Database, watch: AccessWatch, configuration: GatewayConfiguration, metrics: MetricsRegistry) {
        self.database = database
        credentials = Credentials(database)
        self.watch = watch
        // Beside that of keys: pages behind one address must not lock its keys out, nor the other way round.
        failures = FailureLimiter(most: configuration.failuresPerAddress, perSecond: configuration.failuresPerAddressPerSecond)
        lookups = metrics.counter("hsafa_run_token_lookups_total", help: "Run tokens looked for in the database.")
        heldBack = metrics.counter(
            "hsafa_run_tokens_held_back_total", help: "Run tokens not looked at because their address had shown too many wrong ones.")
        func refused(_ limit: String) -> MetricCounter {
            let help = "Requests and streams refused because their run token had its share."
            return metrics.counter("hsafa_run_token_refusals_total", help: help, labels: [("limit", limit)])
        }
        refusedRequests = refused("requests")
        refusedStreams = refused("streams")
    }

    // MARK: Who asks

    /// 401 for what is no good token, 403 for a suspended tenant, 429 when the token asks too often, or too many wrong ones came from
    /// `address`, which is asked for tokens alone that this process has not seen to be right, 503 when it cannot be known.
    public func authenticate(_ text: String?, from address: @Sendable () -> IPAddress?) async throws(GatewayError) -> Principal {
        // What has no right check sum is refused for the price of that.
        guard let text, let token = CredentialToken(text, kind: .runToken) else { throw .noRunToken }
        let hash = SHA256.hash(token.text.utf8)
        let isKnown = known.withLock { $0.contains(hash) }
        // One that asks too often costs no look-up.
        if isKnown { try take(hash) }
        if !isKnown, let seconds = failures.wait(address()) {
            heldBack.add()
            throw .tooManyFailures(retryAfterSeconds: seconds)
        }
        guard let record = try await find(token.id), constantTimeEquals(record.secretHash, hash) else {
            failures.failed(address())
            throw .noRunToken
        }
        guard record.isGood else {
            known.withLock { _ = $0.remove(hash) }
            failures.failed(address())
            throw .noRunToken
        }
        guard !record.isTenantSuspended else { throw .tenantSuspended }
        if !isKnown {
            remember(hash)
            try take(hash)
        }
        return Principal(
            keyID: record.keyID, scope: record.scope, scopes: [], isAdmin: false, expiresAt: record.expiresAt,
            generation: record.keyGeneration, runToken: record.token)
    }

    private func take(_ hash: [UInt8]) throws(GatewayError) {
        guard let seconds = share.take(hash) else { return }
        refusedRequests.add()
        throw .runTokenLimitExceeded(.requests, retryAfterSeconds: seconds)
    }

    /// Before a stream's answer begins: a place among those of its token, for as long as it is open; nil for keys, which have none of
    /// their own. 429 when the token has as many as it may.
    public func openStream(_ principal: Principal) throws(GatewayError) -> RunTokenStream? {
        guard let token = principal.runToken else { return nil }
        if let stream = share.openStream(token.tokenID) { return stream }
        refusedStreams.add()
        throw .runTokenLimitExceeded(.streams, retryAfterSeconds: 1)
    }

    /// For what stays open, once it can be told of changes: what was taken away since `authenticate` is noticed here, what comes later is
    /// told. Keys pass: their cache knows.
    public func requireStillGood(_ principal: Principal) async throws(GatewayError) {
        guard let token = principal.runToken else { return }
        let isGood: Bool
        do { isGood = try await database.tenant(principal.scope).isStillGood(token) } catch {
            throw .unavailable("The gateway cannot check run tokens right now; try again.", cause: "\(error)")
        }
        guard isGood else { throw .noRunToken }
    }

    private func find(_ publicID: String) async throws(GatewayError) -> RunTokenRecord? {
        lookups.add()
        do { return try await credentials.runToken(publicID: publicID) } catch {
            throw .unavailable("The gateway cannot check run tokens right now; try again.", cause: "\(error)")
        }
    }

    private func remember(_ hash: [UInt8]) {
        known.withLock { known in
            // Any one goes: who is forgotten has to have an address without too many failures, like everybody new.
            if known.count >= Limits.maxKnownRunTokens { known.removeFirst() }
            known.insert(hash)
        }
    }

    // MARK: Tokens of a run

    /// 403 naming the scope that the key lacks for a grant.
    public static func requireToHold(_ grants: Set<RunTokenGrant>, _ issuer: Principal) throws(GatewayError) {
        for grant in grants.sorted(by: { $0.rawValue < $1.rawValue }) { try issuer.require(grant.scope) }
    }

    public func issue(
        _ request: RunTokenRequest, of run: RunID, in tenant: TenantDatabase, issuer: Principal, by author: ChangeAuthor
    ) async throws -> IssuedRunToken {
        let token = CredentialToken.generate(.runToken)
        let new = NewRunToken(
            tokenID: .generate(), runID: run, publicID: token.id, secretHash: SHA256.hash(token.text.utf8), grants: request.grants,
            issuer: issuer.keyID, seconds: request.seconds)
        switch try await tenant.changes(by: author).insertRunToken(new) {
        case .created(let createdAt, let expiresAt):
            return IssuedRunToken(
                text: token.text, tokenID: new.tokenID, runID: run, grants: request.grants.sorted { $0.rawValue < $1.rawValue },
                createdAt: createdAt, expiresAt: expiresAt)
        case .noRun: throw GatewayError.notFound("run")
        case .runEnded:
            throw GatewayError.conflict("run_finished", "This run has ended; a run token is good until its run's end.")
        case .tooMany:
            throw GatewayError.conflict(
                "too_many_run_tokens",
                "A run has at most \(Limits.maxRunTokensPerRun) tokens; revoke some, and ask again a minute later.")
        case .noIssuer: throw GatewayError.unauthorized
        }
    }

    public func list(_ scope: TenantScope, _ run: RunID) async throws -> [RunTokenListing] {
        guard try await database.tenant(scope).run(run) != nil else { throw GatewayError.notFound("run") }
        return try await database.tenant(scope).runTokens(of: run)
    }

    /// At once, everywhere; its streams end. Idempotent. A key that may only read runs takes back what it gave out itself.
    public func revoke(_ principal: Principal, _ id: RunTokenID, of run: RunID, by author: ChangeAuthor) async throws {
        let scope = principal.scope
        let tenant = database.tenant(scope)
        // Who made a token never changes, so there is nothing between this and the change that could.
        guard let issuer = try await tenant.runTokenIssuer(id, of: run) else {
            guard try await tenant.run(run) != nil else { throw GatewayError.notFound("run") }
            throw GatewayError.notFound("run_token")
        }
        if issuer != principal.keyID { try principal.require(.runsWrite) }
        guard try await tenant.changes(by: author).revokeRunToken(id, of: run) else { return }
        watch.committed(AccessChanges(runTokens: [.init(tenantID: scope.tenantID, tokenID: id)]))
    }
}
