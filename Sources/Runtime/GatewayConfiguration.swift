public import Argon2
public import Domain

/// How one gateway process runs; the command line reads it from the environment.
public struct GatewayConfiguration: Sendable {
    public var host: String
    public var port: Int
    /// Without a trailing slash; devices sign it as their audience.
    public var publicURL: String
    public var policiesDirectory: String
    public var migrationsDirectory: String
    public var runLeaseSeconds: Int
    public var deviceHeartbeatSeconds: Int
    /// Runs that this process works on at once.
    public var maxConcurrentRuns: Int
    /// nil: no metrics listener.
    public var metricsPort: Int?
    public var openAPIFile: String
    /// The files of `GET /docs`.
    public var docsDirectory: String
    /// What a hash of a key's secret costs; a key with a cheaper one is hashed anew at its next cold use.
    public var argon2: Argon2Parameters
    /// Who may say in `X-Forwarded-For` where a request came from.
    public var trustedProxies: TrustedProxies
    /// Of tenants that have no others.
    public var limits: TenantLimits
    /// Where requests of tools and models may go.
    public var egress: EgressRules
    /// nil: this gateway keeps no secrets.
    public var masterKeys: MasterKeys?
    public var intervals = GatewayIntervals()
    /// Wrong keys that one address may show in a row, and how many more a second afterwards.
    public var failuresPerAddress = Limits.failuresPerAddress
    public var failuresPerAddressPerSecond = Limits.failuresPerAddressPerSecond
    /// Keys that wait for their hash; what comes beyond is told to come again.
    public var maxQueuedHashes = Limits.maxQueuedHashes

    public init(
        host: String = "127.0.0.1", port: Int = 3000, publicURL: String? = nil, policiesDirectory: String = "policies",
        migrationsDirectory: String = "migrations", runLeaseSeconds: Int = 30, deviceHeartbeatSeconds: Int = 30,
        maxConcurrentRuns: Int = 256, metricsPort: Int? = nil, openAPIFile: String = "openapi.yaml",
        docsDirectory: String = "viewer",
        argon2: Argon2Parameters = Argon2Parameters(), trustedProxies: TrustedProxies = TrustedProxies(),
        limits: TenantLimits = TenantLimits(), egress: EgressRules = .publicAddresses,
        masterKeys: MasterKeys? = nil
    ) {
        self.host = host
        self.port = port
        var url = publicURL ?? "http://\(host):\(port)"
        while url.hasSuffix("/") { url.removeLast() }
        self.publicURL = url
        self.policiesDirectory = policiesDirectory
        self.migrationsDirectory = migrationsDirectory
        self.runLeaseSeconds = runLeaseSeconds
        self.deviceHeartbeatSeconds = deviceHeartbeatSeconds
        self.maxConcurrentRuns = maxConcurrentRuns
        self.metricsPort = metricsPort
        self.openAPIFile = openAPIFile
        self.docsDirectory = docsDirectory
        self.argon2 = argon2
        self.trustedProxies = trustedProxies
        self.limits = limits
        self.egress = egress
        self.masterKeys = masterKeys
    }
}
