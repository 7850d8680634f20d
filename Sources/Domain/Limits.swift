/// Every bound of the gateway, with its unit, in one place. Over a bound there is a clear error, and nothing is lost.
public enum Limits {
    // MARK: HTTP
    /// Request bodies, unless a route says less.
    public static let maxBodyBytes = 1 << 20
    public static let maxURIBytes = 8 * 1024
    public static let maxHeaderBytes = 32 * 1024
    public static let maxConnections = 20_000
    /// A connection with no request under way is closed after this.
    public static let idleConnectionSeconds = 75
    /// From a connection's first byte to the end of a request's head.
    public static let requestHeadSeconds = 15
    public static let requestBodySeconds = 30
    public static let defaultPageSize = 50
    public static let maxPageSize = 200
    public static let maxEventsPageSize = 1000

    // MARK: JSON
    public static let maxJSONDepth = 64

    // MARK: Authentication
    public static let hashThreads = 1
    public static let maxQueuedHashes = 64
    public static let maxCachedPrincipals = 10_000
    /// A cached principal is checked against its row (no hash) when its last check is older than this.
    public static let principalRecheckSeconds = 5

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
    public static let maxToolResultBytes = 256 * 1024
    public static let defaultToolSeconds = 300
    public static let maxToolSeconds = 86_400
    /// Attempts to decide again after another writer came first.
    public static let maxDecisionAttempts = 32
    public static let claimBatch = 64
    public static let claimPollMilliseconds = 1000
    /// Events that wait for the append before them; beyond it the model waits.
    public static let maxPendingEvents = 512
    public static let maxPendingEventBytes = 1 << 20
    public static let maxAssistantTextBytes = 1 << 20
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
    public static let registrationSeconds = 10
    public static let maxDeviceTools = 256
    public static let maxDeviceLabels = 32
    public static let maxCallsPerDevice = 256
    /// Devices looked at when a tool names its device by labels.
    public static let maxDeviceCandidates = 64
    public static let maxDeviceSessions = 20_000
    public static let presenceSeconds = 60
    public static let defaultEnrollmentSeconds = 3600
    public static let maxEnrollmentSeconds = 7 * 86_400
    public static let callSweepMilliseconds = 2000
    public static let sweepBatch = 256

    // MARK: Policies
    public static let maxPolicyFileBytes = 1 << 20
    public static let maxPolicyFiles = 256
    public static let maxPolicyRules = 10_000
}
