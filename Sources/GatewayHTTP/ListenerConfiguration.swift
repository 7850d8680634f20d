import Domain
public import NIOCore

/// How the API's port treats whoever connects to it.
public struct ListenerConfiguration: Sendable {
    /// nil: plain HTTP, for a proxy that ends TLS, or for this machine alone.
    public var certificates: CertificateStore?
    public var cors: CORSOrigins
    public var times: ConnectionTimes
    /// Connections at once; those beyond wait in the kernel's queue until one ends.
    public var maxConnections = Limits.maxConnections
    /// Of these, of one client's address; those beyond are closed at once.
    public var maxConnectionsPerAddress = Limits.defaultConnectionsPerAddress

    public init(
        certificates: CertificateStore? = nil, cors: CORSOrigins = .none, times: ConnectionTimes = ConnectionTimes(),
        maxConnectionsPerAddress: Int? = nil
    ) {
        self.certificates = certificates
        self.cors = cors
        self.times = times
        if let maxConnectionsPerAddress { self.maxConnectionsPerAddress = maxConnectionsPerAddress }
    }
}

/// How long a connection may take for what; `Limits` says why. Others than those are for tests, which cannot wait so long.
public struct ConnectionTimes: Sendable {
    /// From the connection to the end of the TLS handshake.
    public var handshake = TimeAmount.seconds(Int64(Limits.tlsHandshakeSeconds))
    /// No request under way.
    public var idle = TimeAmount.seconds(Int64(Limits.idleConnectionSeconds))
    /// From a head's first byte to its end.
    public var head = TimeAmount.seconds(Int64(Limits.requestHeadSeconds))
    public var body = TimeAmount.seconds(Int64(Limits.requestBodySeconds))
    /// A client that takes nothing.
    public var stall = TimeAmount.seconds(Int64(Limits.answerStallSeconds))
    public var linger = TimeAmount.seconds(Int64(Limits.lingerSeconds))
    /// From the beginning of a graceful shutdown to the end of what is still being answered.
    public var shutdown = TimeAmount.seconds(Int64(Limits.shutdownGraceSeconds))

    public init() {}
}
