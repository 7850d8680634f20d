public import Domain
public import Redis

/// Calls of a tenant that rules of policy count by the minute, over all replicas: at most so many in any sixty seconds, exactly. By
/// Redis' own clock.
public struct CallWindows: Sendable {
    public struct Refusal: Sendable, Hashable {
        /// Index of the rule that is full.
        public let rule: Int
        /// Until its oldest call has left the window.
        public let retryMilliseconds: Int
    }

    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    /// Counts the call under all of the rules, or under none; nil: counted. The same call counts once, however often it is asked.
    public func count(_ call: CallID, of tenant: TenantID, _ rules: [(id: String, perMinute: Int)]) async throws(RedisError) -> Refusal? {
        let question = RedisScriptCall(
            Self.script, keys: rules.map { RedisKeys.policyCalls(tenant, rule: $0.id) },
            arguments: [call.description] + rules.map { String($0.perMinute) })
        guard case .array(let parts) = try await redis.evaluate(question), parts.count == 2, let index = parts[0].int,
            let retry = parts[1].int
        else { throw RedisError(code: .protocolViolation, message: "the script of calls gave no answer of its form", mayHaveRun: true) }
        return index == 0 ? nil : Refusal(rule: index - 1, retryMilliseconds: retry)
    }

    // KEYS: a sorted set for each rule, its members the calls of the last minute by their time in ms.
    // ARGV: the call, then the bound of each rule.
    // Answer: which is full (0: none), ms until it has room.
    private static let script = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        for i = 1, #KEYS do
            redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - 60000)
            if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[i + 1]) and not redis.call('ZSCORE', KEYS[i], ARGV[1]) then
                local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
                return {i, math.max(1, oldest[2] + 60000 - now)}
            end
        end
        for i = 1, #KEYS do
            redis.call('ZADD', KEYS[i], 'NX', string.format('%.0f', now), ARGV[1])
            redis.call('PEXPIRE', KEYS[i], 60000)
        end
        return {0, 0}
        """)
}
