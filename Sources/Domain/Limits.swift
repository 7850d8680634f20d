/// Every bound of the gateway, with its unit, in one place; those of what leaves it for others are in `OutboundLimits.swift`. Over a bound there is a clear error, and nothing is lost.
public enum Limits {
    // MARK: HTTP
    /// Request bodies, unless a route says less.
    public static let maxBodyBytes = 1 << 20
    public static let maxURIBytes = 8 * 1024
    public static let maxHeaderBytes = 32 * 1024
    public static let maxHeaderFields = 128
    /// Requests of one connection whose answers have not ended; what a client sends beyond is not looked at.
    public static let maxPipelinedRequests = 512
    public static let maxConnections = 20_000
    /// Of these, of one client's address, unless the configuration says otherwise; IPv6 by /64.
    public static let defaultConnectionsPerAddress = 1000
    /// A connection with no request under way is closed after this.
    public static let idleConnectionSeconds = 75
    /// From a connection's first byte to the end of a request's head.
    public static let requestHeadSeconds = 15
    public static let requestBodySeconds = 30
    /// A client that takes nothing of its answer for this long is closed.
    public static let answerStallSeconds = 30
    /// After the last answer: how long what the client still sends is thrown away, so that it gets to read that answer.
    public static let lingerSeconds = 1
    public static let tlsHandshakeSeconds = 10
    /// How often the certificate's files are looked at.
    public static let certificatePollSeconds = 5
    public static let maxCertificateFileBytes = 1 << 20
    public static let maxCORSOrigins = 64
    /// How long a browser may keep the answer to a preflight.
    public static let corsMaxAgeSeconds = 600
    /// Lines in the log about connections that were refused below HTTP; beyond it they are counted only.
    public static let maxRefusalLinesPerSecond = 10
    /// One file of the documentation page, which is held in memory.
    public static let maxDocsFileBytes = 8 << 20
    public static let defaultPageSize = 50
    public static let maxPageSize = 200
    public static let maxEventsPageSize = 1000
    /// Data of the events of one page; a page holds one event at least.
    public static let maxEventsPageBytes = 4 << 20
    /// Arguments and results of the tool calls of one page; a page holds one call at least.
    public static let maxToolCallsPageBytes = 4 << 20

    // MARK: Idempotency
    public static let maxIdempotencyKeyBytes = 255
    /// How long the answer to a keyed creation is kept.
    public static let idempotencySeconds = 86_400
    /// How long a request waits for one with the same key that is under way.
    public static let idempotencyWaitMilliseconds = 5000
    /// Requests of one process that wait for one key.
    public static let maxWaitingTwins = 256
    /// Records dropped by one statement of a sweep, and how many such statements a sweep makes.
    public static let idempotencySweepBatch = 1000
    public static let idempotencySweepRounds = 10

    // MARK: JSON
    public static let maxJSONDepth = 64

    // MARK: Authentication
    /// What the configuration may ask of argon2id (RFC 9106); below, a guess would be too cheap.
    public static let argon2MemoryKiB = 7168...(1 << 20)
    public static let argon2Iterations = 1...64
    public static let argon2Parallelism = 1...16
    public static let hashThreads = 1
    public static let maxQueuedHashes = 64
    /// Of these, secrets of keys that are issued or rotated, the one under way included: keys that want in go before new ones.
    public static let maxIssuingHashes = 8
    public static let maxCachedPrincipals = 10_000
    /// A cached principal is checked against its row (no hash) when its last check is older than this: the last wall, behind the
    /// messages and the poll.
    public static let principalRecheckSeconds = 300
    /// The same while the poll of changes cannot reach the database.
    public static let principalTrustSeconds = 15
    /// The poll behind `keys:changed`, and how far before the last one it looks back, so that a late commit is seen.
    public static let accessPollSeconds = 5
    public static let accessPollOverlapSeconds = 30
    /// Messages that come faster than this share a poll.
    public static let accessPollSpacingMilliseconds = 20
    /// Changed keys, and changed tenants, of one poll; beyond it every cached principal is checked against its row.
    public static let maxAccessChanges = 10_000
    /// Run tokens that were revoked are dropped after an hour: a look that reaches back further has missed some. A minute less, for a statement
    /// that drops them at that moment.
    public static let accessChangesSeconds = 3540
    /// When keys were last used is written down so often.
    public static let keyUseFlushSeconds = 10
    /// Wrong keys that one address may show in a row, and how many more a second afterwards; as many wrong enrolments beside them.
    public static let failuresPerAddress = 60
    public static let failuresPerAddressPerSecond = 0.5
    /// Addresses that are counted one by one; those beyond share a count.
    public static let maxCountedAddresses = 10_000
    public static let sharedFailureFactor = 10.0
    /// Of a tenant, those not revoked.
    public static let maxKeysPerTenant = 1000
    public static let maxKeyNameBytes = 128
    public static let defaultKeyOverlapSeconds = 3600
    public static let maxKeyOverlapSeconds = 30 * 86_400
    public static let maxForwardedForBytes = 2048

    // MARK: Run tokens
    public static let defaultRunTokenSeconds = 3600
    public static let maxRunTokenSeconds = 86_400
    /// After the end of its run a token still opens the run's stream, so that a watcher who was just reconnecting gets the rest and is told
    /// that this is all.
    public static let runTokenGraceSeconds = 60
    /// Of one run, those of the last minute included.
    public static let maxRunTokensPerRun = 100
    /// Tokens that this process has seen to be right: they are looked at also when their address has shown too many wrong ones.
    public static let maxKnownRunTokens = 10_000
    /// Requests that one token may make at once after a pause, and in the long run, at each replica: a page that answers the calls of a step
    /// makes one for each.
    public static let runTokenBurst = 200
    public static let runTokenRequestsPerSecond = 10.0
    /// Streams that one token may have open at each replica.
    public static let maxStreamsPerRunToken = 8
    /// Tokens dropped by one statement of a sweep.
    public static let runTokenSweepBatch = 1000

    // MARK: Agents
    public static let maxNameBytes = 64
    public static let maxDescriptionBytes = 2048
    public static let maxConfigBytes = 512 * 1024
    public static let maxTools = 128
    public static let maxSystemPromptBytes = 128 * 1024
    public static let maxMetadataBytes = 16 * 1024
    public static let maxSteps = 100
    public static let defaultSteps = 10
    public static let maxCachedVersions = 1000

    // MARK: Runs
    public static let maxInitialMessages = 1000
    /// Messages of a run together with those of the runs it continues.
    public static let maxConversationBytes = 1 << 20
    public static let maxRunSeconds = 7 * 86_400
    public static let defaultRunSeconds = 86_400
    public static let maxRecoveriesWithoutProgress = 5
    public static let maxToolCallsPerStep = 64
    public static let maxToolArgumentsBytes = 256 * 1024
    /// Of a result's JSON, compact; what is more is cut, and policy may bound it further. Results come over roads of a mebibyte (a request's
    /// body, a device's frame, the answer of a tool that the gateway asks), so that one somewhat over its bound arrives to be cut.
    public static let maxToolResultBytes = 256 * 1024
    /// Of the text of a failure; what is more is cut.
    public static let maxToolErrorBytes = 16 * 1024
    public static let defaultToolSeconds = 300
    public static let maxToolSeconds = 86_400
    /// Attempts to decide again after another writer came first.
    public static let maxDecisionAttempts = 32
    public static let claimBatch = 64
    public static let claimPollMilliseconds = 1000
    /// Events that wait for the append before them; beyond it the model waits.
    public static let maxPendingEvents = 512
    public static let maxPendingEventBytes = 1 << 20
    /// Events of one append statement.
    public static let maxEventsPerAppend = 256
    /// Events, and bytes of their data, that appends of many runs put into one statement.
    public static let maxEventsPerStatement = 512
    public static let maxBytesPerAppendStatement = 1 << 20
    /// So many appends of a tenant that wait are worth a second statement beside the one under way.
    public static let appendsBesideOthers = 48
    /// Appends of one tenant that wait; a writer has one, so this is beyond the runs of a process.
    public static let maxQueuedAppends = 20_000
    public static let shutdownGraceSeconds = 10
    /// Runs that calls of runs start: how deep below the one at the top, how many of one run over its life, and how many below one at the
    /// top.
    public static let maxChildDepth = 4
    public static let maxChildrenOfRun = 32
    public static let maxRunsOfTree = 256
    /// The template of what such a run is told.
    public static let maxAgentMessageBytes = 16 * 1024
    /// Notices of ends that one process keeps, beyond which the sweep finds them, and how many it acts on at once.
    public static let maxChildNotices = 4096
    public static let childrenSettledAtOnce = 8
    /// One in so many of a process' slots is kept for tenants that hold less than that share of them.
    public static let slotReserveDivisor = 8

    /// Folds of runs that a process keeps, and bytes of the events in them.
    public static let maxKeptFolds = 512
    public static let maxKeptFoldBytes = 32 << 20

    // MARK: Feeds
    public static let feedRingEvents = 1024
    public static let feedRingBytes = 4 << 20
    public static let feedPageEvents = 200
    public static let feedSilenceMilliseconds = 2000
    public static let maxFeeds = 50_000
    public static let streamKeepAliveSeconds = 15
    /// A watcher that takes nothing for this long is closed; it resumes by its last id.
    public static let watcherStallSeconds = 30
    /// Approximate length of the hot window of a run in Redis, and how long it outlives the last event.
    public static let hotWindowEvents = 2048
    public static let hotWindowSeconds = 900

    // MARK: Devices
    public static let maxDeviceFrameBytes = 1 << 20
    public static let maxFrameBytesBeforeRegistration = 64 * 1024
    /// Of a message over `maxDeviceFrameBytes`, so much is looked through, and thrown away, for the call that it answers.
    public static let maxSkimmedFrameBytes = 4 << 20
    public static let registrationSeconds = 10
    /// For a device to answer our WebSocket close.
    public static let socketCloseSeconds = 2
    public static let maxDeviceTools = 256
    public static let maxDeviceLabels = 32
    public static let maxCallsPerDevice = 256
    /// Results for calls that a socket's device was not asked: so many in a row, and how many more a second, before it is closed.
    public static let maxStrayResults = 64
    public static let strayResultsPerSecond = 1.0
    /// Devices looked at when a tool names its device by labels.
    public static let maxDeviceCandidates = 64
    public static let maxDeviceSessions = 20_000
    public static let presenceSeconds = 60
    public static let maxEnrollmentBodyBytes = 64 * 1024
    public static let defaultEnrollmentSeconds = 3600
    public static let maxEnrollmentSeconds = 7 * 86_400
    public static let callSweepMilliseconds = 2000
    public static let sweepBatch = 256

    // MARK: Limits of tenants: the most that an operator can set
    public static let maxRequestsPerSecond = 100_000
    public static let maxRequestBurst = 1_000_000
    public static let maxRunsPerMinute = 1_000_000
    public static let maxConcurrentRunsOfTenant = 100_000
    public static let maxStreamsOfTenant = 1_000_000
    public static let maxDevicesOfTenant = 1_000_000
    public static let maxAgentsOfTenant = 1_000_000
    public static let maxModelTokensPerDay = 1_000_000_000_000

    // MARK: Limits of tenants: how they are kept
    /// Tenants whose limits, and whose buckets while Redis is away, one process keeps.
    public static let maxCachedTenants = 10_000
    /// Limits are read again when they are older than this.
    public static let tenantLimitsSeconds = 5
    /// After a command that Redis did not answer in time, requests are decided in this process for so long.
    public static let redisPauseMilliseconds = 1000
    /// A holder (an open stream, a connected device) that is not renewed for so long is gone.
    public static let holderSeconds = 30
    public static let holderRenewalSeconds = 10
    /// Holders of one command.
    public static let holdersPerRenewal = 500
    /// A reservation of tokens that is not renewed for so long lapses.
    public static let tokenReservationSeconds = 60
    public static let tokenRenewalMilliseconds = 1000
    /// After a flush of Redis no tokens are given out for so long, so that all processes can renew what they hold.
    public static let tokenReassertionMilliseconds = 3000
    /// A settlement so soon after `used` was read from Postgres may be in it already: then it is read again.
    public static let tokenSeedDoubtMilliseconds = 10_000
    /// A call that cannot reserve its tokens now waits for so long; then its run goes back to the queue.
    public static let tokenWaitSeconds = 30
    /// Reserved for the answer of a model whose agent names no maxOutputTokens.
    public static let defaultOutputTokens = 4096
    public static let maxUsageDays = 400

    // MARK: Audit
    /// Rows deleted by one statement of `audit prune`, which leaves one that says so.
    public static let auditPruneBatch = 5000

    // MARK: Policies
    public static let maxPolicyFileBytes = 1 << 20
    public static let maxPolicyFiles = 256
    public static let maxPolicyRules = 10_000
    /// Names, patterns or hosts of one list.
    public static let maxPolicyListEntries = 200
    public static let maxPolicyPatternBytes = 128
    /// Values of a YAML file once its aliases are written out.
    public static let maxPolicyFileValues = 200_000
    /// Errors of a folder that are told at once.
    public static let maxPolicyErrors = 16
    public static let maxPolicyCount = 1_000_000
    public static let maxPolicyPerMinute = 10_000
    /// Room for what says that a result was cut.
    public static let minPolicyResultBytes = 256
    /// How long a person has to decide, unless the rule says otherwise.
    public static let defaultApprovalSeconds = 3600
    public static let maxApprovalSeconds = 7 * 86_400
    public static let maxPolicyWarnings = 32
    /// Combinations of targets, tools and agents that are looked at for warnings; more of them go without.
    public static let maxPolicyWarningQuestions = 2000
    /// Rules that a row of the audit log, an event and a refusal name.
    public static let maxAuditedRules = 32
    public static let maxPoliciesOfTenant = 32
    public static let maxTenantPolicyBytes = 64 * 1024
    /// Of one tenant, over all its policies.
    public static let maxTenantPolicyRules = 1000
    /// What conditions on one call's arguments may spend together, over all rules of both layers and all devices that are looked at: steps
    /// of some 100 ns, and steps of patterns of some 20 ns. Over it the call is denied.
    public static let maxDecisionSteps = 500_000
    public static let maxDecisionPatternSteps = 1_000_000
    /// Conditions of one tenant, compiled, over all its policies.
    public static let maxTenantConditionBytes = 4 << 20
    /// The same of what is stored already: patterns may take more in another version of PCRE2.
    public static let maxStoredConditionBytes = 8 << 20
    /// Policies of tenants, compiled, that one process keeps.
    public static let maxCachedPolicyBytes = 256 << 20
    /// Argument schemas of one agent version, compiled.
    public static let maxConfigSchemaBytes = 16 << 20
    /// A tenant's policies are looked at again when they are older than this.
    public static let tenantPoliciesSeconds = 5
    /// Rules of tenants whose calls one process counts by the minute while Redis is away.
    public static let maxCountedRules = 10_000
}
