/// Bounds of what leaves the gateway for others, and of what comes back.
extension Limits {
    // MARK: MCP
    /// Of one version of an agent.
    public static let maxMCPServers = 16
    public static let maxMCPServerNameBytes = 48
    public static let maxMCPHeaders = 32
    public static let maxMCPHeaderBytes = 4096
    public static let maxMCPToolNameBytes = 128
    public static let maxMCPToolsOfServer = 128
    /// Of all servers of a version: more is too much for a model to choose from.
    public static let maxMCPTools = 256
    public static let defaultMCPCallSeconds = 60
    public static let maxMCPCallSeconds = 3600
    /// For asking one server what its tools are, with all pages.
    public static let mcpDiscoverySeconds = 15
    /// How long a list of tools is good, whatever its server says; a server's wish is held to this range.
    public static let mcpListSeconds = 15...300
    /// After a server could not be asked, its tools are missing for so long before it is asked again.
    public static let mcpAbsenceSeconds = 15
    /// Schemas of one server's tools, compiled; tools beyond are refused.
    public static let maxMCPListBytes = 16 << 20
    /// Lists of tools that a process keeps, and what they take with their schemas compiled, of all tenants and of one.
    public static let maxKeptMCPLists = 1000
    public static let maxKeptMCPBytes = 256 << 20
    public static let maxKeptMCPBytesOfTenant = 32 << 20
    public static let maxKnownMCPEras = 4096
    public static let mcpEraSeconds = 3600

    // MARK: Egress
    public static let maxOutboundURLBytes = 8 * 1024
    public static let connectSeconds = 5
    public static let maxRedirects = 5
    /// Connections of one tenant to one port of one host; requests beyond wait for one of them.
    public static let maxConnectionsPerHost = 512
    /// Ways to a host (per tenant, host, port and address) whose idle connections are kept.
    public static let maxPinnedClients = 256
    /// Addresses of a host that are judged, and those to which a connection is tried.
    public static let maxAddressesOfHost = 64
    public static let maxAddressesTried = 3
    /// Threads that ask the system's resolver, how many of them one tenant may have at once, how many look-ups may wait for them, those of one
    /// tenant among them, and for how long. One that nobody waits for any more keeps its thread until it ends, and never begins where it
    /// had not.
    public static let resolverThreads = 16
    public static let resolutionsOfTenantAtOnce = 4
    public static let maxWaitingResolutions = 256
    public static let maxWaitingResolutionsOfTenant = 64
    public static let resolveSeconds = 5
    /// How long an answer of the resolver is used, and how many are kept.
    public static let resolvedSeconds = 10
    public static let maxResolvedNames = 4096

    // MARK: Tools that reach out
    /// A request's text or body with the arguments put in.
    public static let maxToolRequestBytes = 512 * 1024
    /// Headers, parameters or form fields of one request.
    public static let maxRequestFields = 64
    public static let maxRequestToolSeconds = 300
    /// Of the answer to a `request` or to a delivery; of a longer one the beginning becomes the result.
    public static let maxToolAnswerBytes = 1 << 20
    /// Of an answer that is no success, as the model is shown it.
    public static let maxShownFailureBytes = 2048
    /// Server tools of one step that run beside each other.
    public static let serverToolsAtOnce = 8
    /// As long as a run can last.
    public static let maxWaitingSeconds = maxRunSeconds
    /// The poll behind timers and deliveries, how many of them one look takes, and for how long they are then this process's: longer than
    /// an attempt can last.
    public static let schedulePollMilliseconds = 1000
    public static let scheduledBatch = 64
    public static let scheduledLeaseSeconds = 60
    /// Times before the next poll that a process knows of; those beyond are found by the poll.
    public static let maxNotedTimes = 1024
    /// Tenants of which one round of looks has taken its share; more begin another round.
    public static let maxScheduleRoundTenants = 1000
    /// Timers and deliveries of a process at once, and those of one tenant among them.
    public static let timersAtOnce = 32
    public static let deliveriesAtOnce = 64
    public static let scheduledOfTenantAtOnce = 8
    /// One attempt to deliver a call, its whole answer included.
    public static let deliverySeconds = 30
    /// Between attempts: doubled from the first to the last, a quarter more or less; a longer `Retry-After` is heeded up to an hour.
    public static let firstRetrySeconds = 1
    public static let lastRetrySeconds = 60
    public static let maxRetryAfterSeconds = 3600
    /// An expression, and its evaluation: values looked at or made, and bytes of the texts and lists that it makes.
    public static let maxExpressionBytes = 8 * 1024
    public static let maxExpressionDepth = 64
    public static let maxExpressionSteps = 20_000
    public static let maxExpressionValueBytes = 1 << 20

    // MARK: Secrets
    /// Shorter values could not be cut out of texts without cutting other things too.
    public static let minSecretBytes = 8
    public static let maxSecretBytes = 16 * 1024
    public static let maxSecretHosts = 32
    /// A value may be written in escapes of six bytes.
    public static let maxSecretBodyBytes = 128 * 1024
    public static let maxSecretsPerTenant = 1000
    /// Each is looked for in every result of the version's server tools.
    public static let maxSecretsPerConfig = 32
}
