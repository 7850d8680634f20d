public import Domain

/// Every key and channel in Redis. Braces are literal: they are hash tags of Redis Cluster.
public enum RedisKeys {
    /// Hot window of a run's events, a stream with ids `<seq>-0`.
    public static func stream(_ run: RunID) -> String { "run:{\(run)}:stream" }
    /// Frames of new events, for feeds (pub/sub).
    public static func notify(_ run: RunID) -> String { "run:{\(run)}:notify" }
    /// Runs of this worker that someone wrote to (pub/sub): a cancel, a tool's result.
    public static func workerNotify(_ replica: ReplicaID) -> String { "worker:{\(replica)}:notify" }
    /// A run waits for a worker (pub/sub).
    public static let runsReady = "runs:ready"
    /// A key or a tenant has changed: look at Postgres (pub/sub, the message says nothing).
    public static let keysChanged = "keys:changed"
    /// Frames and orders for a device's socket (pub/sub).
    public static func deviceNotify(_ device: DeviceID) -> String { "device:{\(device)}:notify" }
    /// The replica and session that hold a device's socket.
    public static func devicePresence(_ device: DeviceID) -> String { "device:{\(device)}:presence" }
    /// A tenant's row was changed; the message is its id (pub/sub).
    public static let tenantsChanged = "tenants:changed"
    /// A rate's theoretical arrival time, or a sorted set of holders by their expiry.
    public static func limit(_ tenant: TenantID, _ name: LimitName) -> String { "tenant:{\(tenant)}:limit:\(name.rawValue)" }
    /// Calls of the last minute that a rule of policy counts, a sorted set by their time.
    public static func policyCalls(_ tenant: TenantID, rule: String) -> String { "tenant:{\(tenant)}:calls:\(rule)" }
    /// What is used and reserved of one day's tokens, a hash.
    public static func tokens(_ tenant: TenantID, _ day: UsageDay) -> String { "tenant:{\(tenant)}:limit:tokens:\(day)" }
    /// The reservations of that day by their expiry, a sorted set of `<id>:<tokens>`.
    public static func reservations(_ tenant: TenantID, _ day: UsageDay) -> String { tokens(tenant, day) + ":held" }
}
