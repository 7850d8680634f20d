import Cryptography
public import Domain
public import Storage

/// How a tenant stands at one of its limits.
public struct LimitStanding: Sendable {
    public let name: LimitName
    /// nil: no bound.
    public let limit: Int?
    /// For rates: the time in which the limit grows back, seconds.
    public let windowSeconds: Int?
    /// nil: cannot be known now.
    public let remaining: Int?
    /// For tokens: what is used, what calls under way hold, and when it begins anew.
    public var used: Int?
    public var reserved: Int?
    public var resetsAt: Timestamp?

    init(_ name: LimitName, limit: Int?, windowSeconds: Int? = nil, remaining: Int?) {
        self.name = name
        self.limit = limit
        self.windowSeconds = windowSeconds
        self.remaining = remaining.map { max(0, $0) }
    }
}

/// What a tenant has used, from Postgres, and what is left of its limits.
public struct UsageService: Sendable {
    private let database: Database
    private let limiter: TenantLimiter

    init(database: Database, limiter: TenantLimiter) {
        self.database = database
        self.limiter = limiter
    }

    /// Days from `from` to `to`, newest first.
    public func page(_ scope: TenantScope, from: UsageDay, to: UsageDay, _ request: PageRequest) async throws -> Page<UsageRecord> {
        let rows = try await database.tenant(scope).usage(
            from: from, to: to, limit: request.limit + 1, after: try Self.after(request.cursor))
        return Page(rows: rows, limit: request.limit) { Base64URL.encode(Array("\($0.day):\($0.model)".utf8)) }
    }

    /// The cursor is the day and model of the last row.
    private static func after(_ cursor: String?) throws(GatewayError) -> (day: UsageDay, model: String)? {
        guard let cursor else { return nil }
        guard let text = Base64URL.decode(cursor).flatMap({ String(validating: $0, as: UTF8.self) }),
            let colon = text.firstIndex(of: ":"), let day = UsageDay(String(text[..<colon]))
        else {
            throw .invalidQuery("cursor", "is not a cursor of this list; leave it out to begin with the first page")
        }
        return (day, String(text[text.index(after: colon)...]))
    }

    /// Every limit and what is left of it now.
    public func standings(_ scope: TenantScope) async throws -> [LimitStanding] {
        let day = UsageDay.today
        let (rates, answer) = try await limiter.look(scope)
        let limits = rates.limits
        let now = try await database.tenant(scope).usageNow(day)
        let places = await limiter.placesTaken(scope, [.streams, .devices])
        let reserved = limits.modelTokensPerDay == nil ? nil : await limiter.tokens.reserved(scope, day)
        var tokens = LimitStanding(
            .modelTokens, limit: limits.modelTokensPerDay, remaining: limits.modelTokensPerDay.map { $0 - now.tokens - (reserved ?? 0) })
        tokens.used = now.tokens
        tokens.reserved = reserved
        tokens.resetsAt = day.end
        return [
            LimitStanding(
                .requests, limit: limits.requestPolicy.burst, windowSeconds: limits.requestPolicy.windowSeconds,
                remaining: answer?.first?.remaining),
            LimitStanding(
                .runs, limit: limits.runPolicy.burst, windowSeconds: limits.runPolicy.windowSeconds, remaining: answer?.second?.remaining),
            LimitStanding(.concurrentRuns, limit: limits.concurrentRuns, remaining: limits.concurrentRuns - now.runningRuns),
            LimitStanding(.streams, limit: limits.streams, remaining: limits.streams - places[0]),
            LimitStanding(.devices, limit: limits.devices, remaining: limits.devices - places[1]),
            LimitStanding(.agents, limit: limits.agents, remaining: limits.agents - now.agents), tokens,
        ]
    }
}
