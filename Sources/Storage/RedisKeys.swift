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
}
