public import Domain
public import Redis

/// `device:{id}:presence` = `<replica>:<session>`: who holds a device's socket, for those who look. The truth is in Postgres.
///
/// A new session takes the key; it is renewed and deleted by its own session alone, so that one which ended late cannot remove
/// the next one's.
public struct DevicePresence: Sendable {
    private let redis: RedisClient
    private let replicaID: ReplicaID

    public init(redis: RedisClient, replicaID: ReplicaID) {
        self.redis = redis
        self.replicaID = replicaID
    }

    private static let renewal = RedisScript(
        """
        local held = redis.call('GET', KEYS[1])
        if held and held ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
        return 1
        """)

    private static let removal = RedisScript(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")

    public func set(_ device: DeviceID, session: DeviceSessionID) {
        redis.post([RedisCommand("SET", RedisKeys.devicePresence(device), value(session), "EX", "\(Limits.presenceSeconds)")])
    }

    public func renew(_ sessions: [(DeviceID, DeviceSessionID)]) async throws(RedisError) {
        try await evaluate(Self.renewal, sessions, extra: ["\(Limits.presenceSeconds)"])
    }

    public func remove(_ sessions: [(DeviceID, DeviceSessionID)]) async throws(RedisError) {
        try await evaluate(Self.removal, sessions, extra: [])
    }

    private func value(_ session: DeviceSessionID) -> String { "\(replicaID):\(session)" }

    /// One round trip for all; the first one alone where the server does not know the script, which teaches it.
    private func evaluate(_ script: RedisScript, _ sessions: [(DeviceID, DeviceSessionID)], extra: [String]) async throws(RedisError) {
        guard let first = sessions.first else { return }
        _ = try await redis.evaluate(script, keys: [RedisKeys.devicePresence(first.0)], arguments: [value(first.1)] + extra)
        _ = try await redis.pipeline(
            sessions.dropFirst().map { device, session in
                var command = RedisCommand("EVALSHA", script.sha1, "1", RedisKeys.devicePresence(device), value(session))
                for argument in extra { command.append(argument) }
                return command
            })
    }
}
