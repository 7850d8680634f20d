public import Domain
public import Redis

/// Places that last as long as something is open. Each is a member of a sorted set with its expiry, so that a process which is
/// killed frees its own by saying nothing. Taken by `RateLimits.ask(_:holding:)`.
public struct Holders: Sendable {
    private let redis: RedisClient

    public init(_ redis: RedisClient) { self.redis = redis }

    private static let renewal = RedisScript(
        """
        local time = redis.call('TIME')
        local expiry = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
        for i = 2, #ARGV do redis.call('ZADD', KEYS[1], expiry, ARGV[i]) end
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        return #ARGV - 1
        """)

    /// Extends these places, and takes them again where Redis lost them; one batch, nobody waits. false: not sent, the next renewal
    /// does it. Whoever calls holds what keeps `members` from being released meanwhile.
    @discardableResult
    public func renew(_ places: [(tenant: TenantID, name: LimitName, members: [String])]) -> Bool {
        var commands: [RedisCommand] = []
        for place in places {
            for start in stride(from: 0, to: place.members.count, by: Limits.holdersPerRenewal) {
                let members = place.members[start..<min(start + Limits.holdersPerRenewal, place.members.count)]
                commands.append(
                    RedisScriptCall(
                        Self.renewal, keys: [RedisKeys.limit(place.tenant, place.name)],
                        arguments: [String(Limits.holderSeconds * 1000)] + members
                    ).bySource)
            }
        }
        return redis.post(commands)
    }

    public func release(_ tenant: TenantID, _ name: LimitName, member: String) {
        redis.post([RedisCommand("ZREM", RedisKeys.limit(tenant, name), member)])
    }

    /// Places that are taken now, over all replicas, of each name.
    public func count(_ tenant: TenantID, _ names: [LimitName]) async throws(RedisError) -> [Int] {
        let now = String(Timestamp.now().millisecondsSinceUnixEpoch)
        let replies = try await redis.pipeline(names.map { RedisCommand("ZCOUNT", RedisKeys.limit(tenant, $0), "(" + now, "+inf") })
        return replies.map { $0.int ?? 0 }
    }
}
