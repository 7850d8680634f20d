public import Domain
import Logging
import NIOCore
public import Postgres
import Redis
public import Storage
import Synchronization

/// What became of a request at its tenant's limits.
public struct Admission: Sendable {
    public let rates: TenantRates
    public let answer: RateAnswer
    /// 429 naming the limit; nil: granted.
    public let refusal: GatewayError?
    /// For as long as the stream is open.
    public let place: Place?
}

/// Keeps tenants to their limits, over all replicas, by one script in Redis for each request.
///
/// Without Redis requests, runs a minute, streams and devices are held to the same bounds by each process for itself (open: a
/// tenant may then have them once a replica); tokens stay closed, see `TokenAccounts`.
public final class TenantLimiter: Sendable {
    let book: LimitBook
    let places: OpenPlaces
    public let tokens: TokenAccounts
    private let rates: RateLimits
    private let holders: Holders
    private let local = LocalRates()
    private let subscriber: RedisSubscriber
    private let logger: Logger
    private let replicaID: ReplicaID
    private let redisPause: Duration
    private let streams = Atomic<UInt64>(0)
    /// While Redis does not answer, requests do not wait for it.
    private let pausedUntil = Mutex<ContinuousClock.Instant?>(nil)
    private let refusals: [LimitName: MetricCounter]
    private let localDecisions: MetricCounter
    private let redisPauses: MetricCounter

    init(
        defaults: TenantLimits, intervals: GatewayIntervals, replicaID: ReplicaID, database: Database, redis: RedisClient,
        subscriber: RedisSubscriber, metrics: MetricsRegistry, logger: Logger
    ) {
        self.replicaID = replicaID
        redisPause = intervals.redisPause
        self.subscriber = subscriber
        self.logger = logger
        book = LimitBook(defaults: defaults, maxAge: intervals.limitsAge, database: database, logger: logger)
        rates = RateLimits(redis)
        holders = Holders(redis)
        places = OpenPlaces(holders: holders)
        let refusals = Dictionary(
            uniqueKeysWithValues: LimitName.allCases.map { name in
                (
                    name,
                    metrics.counter(
                        "hsafa_limit_refusals_total", help: "What tenants were refused, by limit.", labels: [("limit", name.rawValue)])
                )
            })
        self.refusals = refusals
        localDecisions = metrics.counter(
            "hsafa_limit_local_decisions_total", help: "Requests that were decided without Redis, by this process' own bounds.")
        redisPauses = metrics.counter(
            "hsafa_limit_redis_pauses_total", help: "Requests that waited for Redis in vain, so that those after them do not ask it.")
        tokens = TokenAccounts(
            book: book, database: database, budget: TokenBudget(redis), replicaID: replicaID,
            refused: { refusals[.modelTokens]?.add() }, logger: logger)
    }

    public func limits(_ scope: TenantScope) async throws -> TenantLimits { try await book.rates(scope).limits }

    public func refused(_ name: LimitName) { refusals[name]?.add() }

    // MARK: Requests

    /// Throws only when the tenant's limits cannot be known.
    public func admit(_ scope: TenantScope, _ kind: RequestKind) async throws(PostgresError) -> Admission {
        let rates = try await book.rates(scope)
        let question = rates.question(kind)
        guard kind == .stream else { return admission(rates, await decide(scope, question), nil) }
        let member = "\(replicaID):\(streams.wrappingAdd(1, ordering: .relaxed).newValue)"
        return await admit(scope, rates, question, .streams, member: member, limit: rates.limits.streams)
    }

    /// A place for a device; it takes over the place that the same device has. nil: the tenant has none left.
    public func connect(_ device: DeviceID, _ scope: TenantScope) async throws(PostgresError) -> Place? {
        let rates = try await book.rates(scope)
        return await admit(scope, rates, rates.none, .devices, member: device.description, limit: rates.limits.devices).place
    }

    private func admit(
        _ scope: TenantScope, _ rates: TenantRates, _ question: RateQuestion, _ name: LimitName, member: String, limit: Int
    ) async -> Admission {
        let place = places.add(scope.tenantID, name, member)
        let holder = Holder(tenant: scope.tenantID, name: name, member: member, limit: limit)
        let answer = await decide(scope, question, holding: holder)
        if answer.refusal != nil {
            place.release()
            return admission(rates, answer, nil)
        }
        return admission(rates, answer, place)
    }

    private func admission(_ rates: TenantRates, _ answer: RateAnswer, _ place: Place?) -> Admission {
        guard let refusal = answer.refusal else { return Admission(rates: rates, answer: answer, refusal: nil, place: place) }
        refused(refusal.name)
        // A stream's place comes free when another ends, which nobody knows; a second is a fair first guess.
        let seconds = refusal.retryMicroseconds.map { Int(($0 + 999_999) / 1_000_000) } ?? 1
        return Admission(
            rates: rates, answer: answer, refusal: .limitExceeded(refusal.name, rates.limits, retryAfterSeconds: max(1, seconds)),
            place: nil)
    }

    private func decide(_ scope: TenantScope, _ question: RateQuestion, holding holder: Holder? = nil) async -> RateAnswer {
        if !isPaused {
            do {
                if let holder { return try await rates.ask(question, holding: holder) }
                return try await rates.ask(question)
            } catch { suspect(error) }
        }
        localDecisions.add()
        if let holder, places.count(scope.tenantID, holder.name) > holder.limit {
            let left = local.look(scope.tenantID, question.policies)
            return RateAnswer(
                refusal: RateAnswer.Refusal(name: holder.name, retryMicroseconds: nil), first: left.first, second: left.second)
        }
        return local.take(scope.tenantID, question.policies)
    }

    private var isPaused: Bool { pausedUntil.withLock { $0.map { $0 > .now } ?? false } }

    private func suspect(_ error: RedisError) {
        guard error.code == .timeout || error.code == .queueFull else { return }
        pausedUntil.withLock { $0 = .now + redisPause }
        redisPauses.add()
        logger.warning("Redis does not answer; limits are kept by this process for a moment", metadata: ["cause": "\(error)"])
    }

    // MARK: Looking

    /// What is left of the rates, without taking; nil while Redis is away.
    func look(_ scope: TenantScope) async throws(PostgresError) -> (rates: TenantRates, answer: RateAnswer?) {
        let rates = try await book.rates(scope)
        return (rates, try? await self.rates.ask(rates.look))
    }

    /// Places taken over all replicas; of this process alone while Redis is away.
    func placesTaken(_ scope: TenantScope, _ names: [LimitName]) async -> [Int] {
        if let counts = try? await holders.count(scope.tenantID, names), counts.count == names.count { return counts }
        return names.map { places.count(scope.tenantID, $0) }
    }

    // MARK: Life

    func run() async {
        let changes = subscriber.subscribe(RedisKeys.tenantsChanged) { [book] push in
            switch push {
            // What was announced before is not known.
            case .subscribed: book.forgetAll()
            case .message(let text): if let tenant = TenantID(String(buffer: text)) { book.forget(tenant) }
            case .disconnected: break
            }
        }
        defer { changes.cancel() }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.tokens.keepReservations() }
            group.addTask {
                while (try? await Task.sleep(for: .seconds(Limits.holderRenewalSeconds))) != nil { self.places.renew() }
            }
        }
    }
}
