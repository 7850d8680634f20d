public import Domain
public import Redis

/// A model call's share of its tenant's day, held while the call lasts.
public struct TokenReservation: Sendable, Hashable {
    public let tenant: TenantID
    public let day: UsageDay
    public let tokens: Int
    /// Unique for each attempt to reserve.
    public let id: String

    public init(tenant: TenantID, day: UsageDay, tokens: Int, id: String) {
        self.tenant = tenant
        self.day = day
        self.tokens = tokens
        self.id = id
    }

    fileprivate var member: String { "\(id):\(tokens)" }
    fileprivate var keys: [String] { [RedisKeys.tokens(tenant, day), RedisKeys.reservations(tenant, day)] }
}

public enum TokenAnswer: Sendable, Hashable {
    case reserved
    /// Used and wanted together are more than the limit.
    case spent(used: Int)
    /// It would fit but for what other calls hold at this moment.
    case contended
    /// Redis has just lost its memory: what other processes hold is being told again.
    case reopening(milliseconds: Int)
    /// What is used must be read from Postgres. `mayBeFlushed`: nothing is known of this day or the one before.
    case unknown(version: Int, mayBeFlushed: Bool)
}

/// The day's tokens of a tenant in Redis: used + reserved ≤ limit at every moment, over all replicas.
///
/// `used` repeats what Postgres holds. It is dropped, and read again before the next reservation, whenever the two may differ: a
/// reservation lapsed (its process was killed, before or after its commit), a call's end is not known, or a settlement came so soon
/// after the reading that it may be in it. `version` counts settlements, so that a sum which one overtook is not taken.
public struct TokenBudget: Sendable {
    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    private static let prelude = """
        local day, held = KEYS[1], KEYS[2]
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local function tokens(member) return tonumber(string.match(member, ':(%d+)$')) end
        local function drop(member)
            if redis.call('ZREM', held, member) == 1 and redis.call('HEXISTS', day, 'reserved') == 1 then
                redis.call('HINCRBY', day, 'reserved', -tokens(member))
            end
        end
        local function hold(member, life)
            if redis.call('ZADD', held, string.format('%.0f', now + life), member) == 1
                and redis.call('HEXISTS', day, 'reserved') == 1 then
                redis.call('HINCRBY', day, 'reserved', tokens(member))
            end
            redis.call('EXPIRE', held, 180000)
        end

        """

    private static let reservation = RedisScript(
        prelude + """
            local member, limit = ARGV[1], tonumber(ARGV[2])
            local lapsed = redis.call('ZRANGEBYSCORE', held, '-inf', now, 'LIMIT', 0, 1000)
            for _, other in ipairs(lapsed) do drop(other) end
            if redis.call('HSETNX', day, 'version', 1) == 1 then
                redis.call('EXPIRE', day, 180000)
                if redis.call('HEXISTS', KEYS[3], 'version') == 0 then redis.call('HSET', day, 'fresh', 1) end
            end
            if #lapsed > 0 then
                redis.call('HDEL', day, 'used')
                redis.call('HINCRBY', day, 'version', 1)
            end
            local state = redis.call('HMGET', day, 'used', 'version', 'fresh', 'reserved', 'opens')
            if not state[1] then return {3, tonumber(state[2]), state[3] and 1 or 0} end
            if state[5] and tonumber(state[5]) > now then return {4, tonumber(state[5]) - now} end
            local used, reserved, wanted = tonumber(state[1]), tonumber(state[4] or '-1'), tokens(member)
            if reserved < 0 then
                reserved = 0
                for _, other in ipairs(redis.call('ZRANGE', held, 0, -1)) do reserved = reserved + tokens(other) end
                redis.call('HSET', day, 'reserved', string.format('%.0f', reserved))
            end
            if used + wanted > limit then return {1, used} end
            if used + reserved + wanted > limit then return {2} end
            hold(member, ARGV[3])
            return {0}
            """)

    private static let seeding = RedisScript(
        prelude + """
            if redis.call('HGET', day, 'version') ~= ARGV[1] then return 0 end
            if redis.call('HSETNX', day, 'used', ARGV[2]) == 1 then
                redis.call('HSET', day, 'seeded', string.format('%.0f', now))
                if tonumber(ARGV[3]) > 0 then redis.call('HSET', day, 'opens', string.format('%.0f', now + ARGV[3])) end
                redis.call('HDEL', day, 'fresh')
            end
            return 1
            """)

    // ARGV[2]: what the call used; -1 when that is not known.
    private static let settlement = RedisScript(
        prelude + """
            drop(ARGV[1])
            if redis.call('EXISTS', day) == 0 then return 0 end
            redis.call('HINCRBY', day, 'version', 1)
            local seeded = tonumber(redis.call('HGET', day, 'seeded') or '0')
            if tonumber(ARGV[2]) < 0 or now - seeded < tonumber(ARGV[3]) then
                redis.call('HDEL', day, 'used')
            elseif redis.call('HEXISTS', day, 'used') == 1 then
                redis.call('HINCRBY', day, 'used', ARGV[2])
            end
            return 1
            """)

    private static let renewal = RedisScript(
        prelude + """
            for i = 2, #ARGV do hold(ARGV[i], ARGV[1]) end
            return 1
            """)

    public func reserve(_ wanted: TokenReservation, limit: Int) async throws(RedisError) -> TokenAnswer {
        let reply = try await redis.evaluate(
            Self.reservation, keys: wanted.keys + [RedisKeys.tokens(wanted.tenant, wanted.day.previous)],
            arguments: [wanted.member, String(limit), String(Limits.tokenReservationSeconds * 1000)])
        guard let parts = reply.array?.map({ $0.int ?? 0 }), let kind = parts.first else { throw Self.misunderstood }
        switch (kind, parts.count) {
        case (0, 1): return .reserved
        case (1, 2): return .spent(used: parts[1])
        case (2, 1): return .contended
        case (3, 3): return .unknown(version: parts[1], mayBeFlushed: parts[2] == 1)
        case (4, 2): return .reopening(milliseconds: parts[1])
        default: throw Self.misunderstood
        }
    }

    /// `used` as Postgres has it, read after `version` was. false: a settlement came between; read again.
    public func seed(
        _ tenant: TenantID, _ day: UsageDay, version: Int, used: Int, closedMilliseconds: Int
    ) async throws(RedisError) -> Bool {
        try await redis.evaluate(
            Self.seeding, keys: [RedisKeys.tokens(tenant, day), RedisKeys.reservations(tenant, day)],
            arguments: [String(version), String(used), String(closedMilliseconds)]
        ).int == 1
    }

    /// After the commit that wrote `used` down. nil: it is not known what, if anything, was written. Nobody waits for it: where it is
    /// lost the reservation lapses, and Postgres is asked again.
    public func settle(_ reservation: TokenReservation, used: Int?) {
        redis.post([
            RedisScriptCall(
                Self.settlement, keys: reservation.keys,
                arguments: [reservation.member, String(used ?? -1), String(Limits.tokenSeedDoubtMilliseconds)]
            ).bySource
        ])
    }

    /// Extends reservations, and makes them known again where Redis lost them; nobody waits. Whoever calls holds what keeps them from
    /// being settled meanwhile.
    public func renew(_ reservations: [TokenReservation]) {
        let days = Dictionary(grouping: reservations) { $0.keys }
        redis.post(
            days.map { keys, held in
                RedisScriptCall(
                    Self.renewal, keys: keys, arguments: [String(Limits.tokenReservationSeconds * 1000)] + held.map(\.member)
                ).bySource
            })
    }

    /// What other calls hold at this moment; nil when Redis knows nothing of the day.
    public func reserved(_ tenant: TenantID, _ day: UsageDay) async throws(RedisError) -> Int? {
        try await redis.send(RedisCommand("HGET", RedisKeys.tokens(tenant, day), "reserved")).int
    }

    private static let misunderstood = RedisError(
        code: .protocolViolation, message: "the script of tokens gave no answer of its form", mayHaveRun: true)
}
