import Domain
import Logging
import Postgres
import Redis
import Storage
import Synchronization

/// The tokens of tenants that have a bound on them: reserved before a model call, settled after the commit that tells of the call.
///
/// Closed without Redis: a call whose reservation cannot be made waits, and after a while its run goes back to the queue; nothing is
/// spent and nothing is lost. A tenant without a bound never waits here.
public final class TokenAccounts: Sendable {
    private let book: LimitBook
    private let database: Database
    private let budget: TokenBudget
    private let replicaID: ReplicaID
    private let refused: @Sendable () -> Void
    private let logger: Logger
    private let live = Mutex<[String: TokenReservation]>([:])
    private let attempts = Atomic<UInt64>(0)

    init(
        book: LimitBook, database: Database, budget: TokenBudget, replicaID: ReplicaID, refused: @escaping @Sendable () -> Void,
        logger: Logger
    ) {
        self.book = book
        self.database = database
        self.budget = budget
        self.replicaID = replicaID
        self.refused = refused
        self.logger = logger
    }

    /// Calls `body` with the day that its tokens belong to, while up to `tokens` of it are reserved. `body` returns when what it used
    /// is committed. 429 `token_limit_exceeded` when the day has no room for them; `RunInterruption` when it cannot be known in time,
    /// or when `interruption` says so first.
    func spend<Result: Sendable>(
        _ scope: TenantScope, tokens: Int, interruption: @Sendable () -> RunInterruption?,
        _ body: (UsageDay) async throws -> (Result, TokenUsage)
    ) async throws -> Result {
        guard let limit = try await book.rates(scope).limits.modelTokensPerDay else { return try await body(.today).0 }
        let reservation = try await reserve(scope, tokens, limit, interruption)
        do {
            let (result, usage) = try await body(reservation.day)
            settle(reservation, used: usage.total)
            return result
        } catch {
            // Whether anything was written is Postgres' to say.
            settle(reservation, used: nil)
            throw error
        }
    }

    private func reserve(
        _ scope: TenantScope, _ tokens: Int, _ limit: Int, _ interruption: @Sendable () -> RunInterruption?
    ) async throws -> TokenReservation {
        let end = ContinuousClock.now + .seconds(Limits.tokenWaitSeconds)
        var pause = 20
        while true {
            if let reason = interruption() { throw reason }
            let wanted = TokenReservation(
                tenant: scope.tenantID, day: .today, tokens: tokens,
                id: "\(replicaID)-\(attempts.wrappingAdd(1, ordering: .relaxed).newValue)")
            switch try await ask(scope, wanted, limit) {
            case .reserved:
                live.withLock { $0[wanted.id] = wanted }
                return wanted
            case .spent(let used):
                refused()
                throw GatewayError.tokensSpent(limit: limit, used: used, wanted: tokens, day: wanted.day)
            case .unknown(let version, let mayBeFlushed):
                if try await seed(scope, wanted.day, version, mayBeFlushed) { continue }
            case .reopening(let milliseconds): pause = min(max(pause, milliseconds), 500)
            case .contended, nil: pause = min(pause * 2, 500)
            }
            guard ContinuousClock.now < end else {
                logger.notice("a model call waits for its tokens; its run goes back", metadata: ["tenant": "\(scope.tenantID)"])
                throw RunInterruption.handOver
            }
            try await Task.sleep(for: .milliseconds(pause))
        }
    }

    /// nil: Redis cannot be asked.
    private func ask(_ scope: TenantScope, _ wanted: TokenReservation, _ limit: Int) async throws -> TokenAnswer? {
        do { return try await budget.reserve(wanted, limit: limit) } catch {
            try Task.checkCancellation()
            logger.debug("tokens cannot be reserved", metadata: ["tenant": "\(scope.tenantID)", "cause": "\(error)"])
            // It may be there all the same; then it lapses.
            return nil
        }
    }

    /// Where Redis may have lost its memory, and other runs of the tenant are at work, their reservations come back first.
    private func seed(_ scope: TenantScope, _ day: UsageDay, _ version: Int, _ mayBeFlushed: Bool) async throws -> Bool {
        let (used, running) = try await database.tenant(scope).tokensUsed(on: day)
        let closed = mayBeFlushed && running > 1 ? Limits.tokenReassertionMilliseconds : 0
        return (try? await budget.seed(scope.tenantID, day, version: version, used: used, closedMilliseconds: closed)) ?? false
    }

    private func settle(_ reservation: TokenReservation, used: Int?) {
        live.withLock { live in
            live[reservation.id] = nil
            // Under the lock, as the renewal: it cannot go out behind this with the reservation in it.
            budget.settle(reservation, used: used)
        }
    }

    /// Renews what calls of this process hold.
    func keepReservations() async {
        while (try? await Task.sleep(for: .milliseconds(Limits.tokenRenewalMilliseconds))) != nil {
            live.withLock { live in if !live.isEmpty { budget.renew(Array(live.values)) } }
        }
    }

    /// What calls of all replicas hold now; nil while it is not known.
    func reserved(_ scope: TenantScope, _ day: UsageDay) async -> Int? { try? await budget.reserved(scope.tenantID, day) }
}
