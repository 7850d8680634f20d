/// Where the server is and what the client may use. Its descriptions never show the password.
public struct RedisConfiguration: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Endpoint: Sendable, Equatable {
        case host(String, port: Int)
        case unixSocket(String)
    }

    let endpoint: Endpoint
    let usesTLS: Bool
    let username: String?
    let password: String?
    let database: Int

    /// Commands that have no reply yet, gathered or on the wire.
    public var maxQueuedCommands = 50_000
    /// Bytes that the socket did not take yet.
    public var maxQueuedBytes = 64 << 20
    /// From the command's leaving to its reply; a connection whose oldest command waits twice as long is closed as dead.
    public var commandTimeoutMilliseconds = 2_000
    /// TCP, TLS, AUTH and SELECT together.
    public var connectTimeoutMilliseconds = 2_000
    /// PEM file with the authorities to trust for `rediss`; nil: the system's.
    public var tlsCertificateFile: String?
    /// Pause before the first and before the latest reconnect; between them it doubles. Half of each pause is random.
    public var reconnectMinimumMilliseconds = 50
    public var reconnectMaximumMilliseconds = 5_000
    /// A reply beyond this is a protocol violation. Nesting is bounded by hiredis (7 levels).
    public var maxReplyBytes = 64 << 20
    public var maxReplyElements = 1 << 20
    /// A subscriber's connection is asked (PING) so often; when nothing at all came until the next time, it is closed as dead.
    public var keepAliveMilliseconds = 5_000

    /// `redis://[[user]:password@]host[:port][/database]`, the same with `rediss` for TLS, or
    /// `unix://[[user]:password@]/path/to/socket[?db=database]`. User and password are percent-decoded.
    public init(url: String) throws(RedisError) {
        let parts = try RedisURL(url)
        endpoint = parts.endpoint
        usesTLS = parts.usesTLS
        username = parts.username
        password = parts.password
        database = parts.database
    }

    public var description: String {
        switch endpoint {
        case .host(let host, let port): "\(usesTLS ? "rediss" : "redis")://\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
        case .unixSocket(let path): "unix://\(path)?db=\(database)"
        }
    }

    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["url": description]) }

    /// AUTH and SELECT as needed, then PING: only a server that is done loading and lets us in answers all of them well.
    var greeting: [RedisCommand] {
        var commands: [RedisCommand] = []
        if let password {
            commands.append(username.map { RedisCommand("AUTH", $0, password) } ?? RedisCommand("AUTH", password))
        }
        if database != 0 { commands.append(RedisCommand("SELECT", String(database))) }
        commands.append(RedisCommand("PING"))
        return commands
    }
}
