public import Domain
public import Redis

/// What one kind of request asks of a tenant's rates; encoded once, asked at every request.
public struct RateQuestion: Sendable {
    public let policies: [RatePolicy]
    fileprivate let keys: [String]
    fileprivate let arguments: [String]
    fileprivate let call: RedisScriptCall

    /// At most two policies. `cost` 0 looks without taking.
    public init(_ tenant: TenantID, _ policies: [RatePolicy], cost: Int = 1) {
        self.policies = policies
        keys = policies.map { RedisKeys.limit(tenant, $0.name) }
        arguments =
            [String(policies.count)] + policies.flatMap { [String($0.intervalMicroseconds), String($0.burst), String(cost)] }
        call = RedisScriptCall(RateLimits.script, keys: keys, arguments: arguments)
    }

    fileprivate func call(holding holder: Holder) -> RedisScriptCall {
        RedisScriptCall(
            RateLimits.script, keys: keys + [RedisKeys.limit(holder.tenant, holder.name)],
            arguments: arguments + [String(holder.limit), holder.member, String(Limits.holderSeconds * 1000)])
    }
}

/// A place among those that a limit counts while they last: an open stream, a connected device.
public struct Holder: Sendable {
    public let tenant: TenantID
    public let name: LimitName
    public let member: String
    public let limit: Int

    public init(tenant: TenantID, name: LimitName, member: String, limit: Int) {
        self.tenant = tenant
        self.name = name
        self.member = member
        self.limit = limit
    }
}

public struct RateAnswer: Sendable, Hashable {
    /// The limit that refused, and how long to wait for it. nil: granted, all of it; otherwise nothing was taken.
    public let refusal: Refusal?
    public let first: RateStanding?
    public let second: RateStanding?

    public struct Refusal: Sendable, Hashable {
        public let name: LimitName
        /// nil: waiting alone does not help.
        public let retryMicroseconds: Int64?

        public init(name: LimitName, retryMicroseconds: Int64?) {
            self.name = name
            self.retryMicroseconds = retryMicroseconds
        }
    }

    public init(refusal: Refusal?, first: RateStanding?, second: RateStanding?) {
        self.refusal = refusal
        self.first = first
        self.second = second
    }
}

/// All limits of one request by one atomic script: either every unit is taken, or none. The clock is Redis' own, so replicas need
/// not agree on the time.
public struct RateLimits: Sendable {
    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    /// For those who measure the bare script.
    public static var scriptSHA1: String { script.sha1 }

    public func ask(_ question: RateQuestion) async throws(RedisError) -> RateAnswer {
        try Self.answer(try await redis.evaluate(question.call, .anyOrder), question, nil)
    }

    /// The same, and a place for `holder`; it lapses unless it is renewed.
    public func ask(_ question: RateQuestion, holding holder: Holder) async throws(RedisError) -> RateAnswer {
        try Self.answer(try await redis.evaluate(question.call(holding: holder)), question, holder)
    }

    private static func answer(_ reply: RedisValue, _ question: RateQuestion, _ holder: Holder?) throws(RedisError) -> RateAnswer {
        guard case .array(let parts) = reply, parts.count == 2 + 2 * question.policies.count, let index = parts[0].int,
            let retry = parts[1].int
        else { throw RedisError(code: .protocolViolation, message: "the script of rates gave no answer of its form", mayHaveRun: true) }
        var refusal: RateAnswer.Refusal?
        if index > question.policies.count {
            refusal = RateAnswer.Refusal(name: holder?.name ?? .requests, retryMicroseconds: nil)
        } else if index > 0 {
            refusal = RateAnswer.Refusal(name: question.policies[index - 1].name, retryMicroseconds: Int64(retry))
        }
        return RateAnswer(refusal: refusal, first: standing(parts, at: 2), second: standing(parts, at: 4))
    }

    private static func standing(_ parts: [RedisValue], at index: Int) -> RateStanding? {
        guard index + 1 < parts.count, let remaining = parts[index].int, let reset = parts[index + 1].int else { return nil }
        return RateStanding(remaining: remaining, resetMicroseconds: Int64(reset))
    }

    // KEYS: a key for each rate, then the holders' if one is wanted.
    // ARGV: number of rates; for each µs a unit, burst, units wanted; then bound, member and milliseconds of the holder.
    // Answer: which refused (0: none), µs to wait for it; for each rate units left and µs until all are there.
    fileprivate static let script = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local count = tonumber(ARGV[1])
        local answer = {0, 0}
        local starts, nexts = {}, {}
        for i = 1, count do
            local interval = tonumber(ARGV[3 * i - 1])
            local capacity = interval * ARGV[3 * i]
            local start = tonumber(redis.call('GET', KEYS[i]) or now)
            if start < now then start = now elseif start > now + capacity then start = now + capacity end
            local next = start + interval * ARGV[3 * i + 1]
            local wait = next - now - capacity
            if wait > 0.5 and answer[1] == 0 then
                answer[1] = i
                answer[2] = math.ceil(wait)
            end
            starts[i], nexts[i] = start, next
        end
        if answer[1] == 0 and #KEYS > count then
            local key = KEYS[#KEYS]
            local bound, member, life = tonumber(ARGV[3 * count + 2]), ARGV[3 * count + 3], ARGV[3 * count + 4]
            local milliseconds = math.floor(now / 1000)
            redis.call('ZREMRANGEBYSCORE', key, '-inf', milliseconds)
            if redis.call('ZCARD', key) >= bound and not redis.call('ZSCORE', key, member) then
                answer[1] = count + 1
            else
                redis.call('ZADD', key, string.format('%.0f', milliseconds + life), member)
                redis.call('PEXPIRE', key, life)
            end
        end
        for i = 1, count do
            local interval = tonumber(ARGV[3 * i - 1])
            local at = starts[i]
            if answer[1] == 0 and nexts[i] > starts[i] then
                at = nexts[i]
                redis.call('SET', KEYS[i], string.format('%.17g', at), 'PX', math.max(1, math.ceil((at - now) / 1000)))
            end
            answer[2 * i + 1] = math.floor((interval * ARGV[3 * i] - (at - now)) / interval + 0.000001)
            answer[2 * i + 2] = math.ceil(at - now)
        end
        return answer
        """)
}
