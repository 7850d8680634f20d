/// A limit by the name that refusals, headers, metrics and `GET /api/usage` give it.
public enum LimitName: String, Sendable, CaseIterable {
    case requests
    case runs
    case concurrentRuns = "concurrent_runs"
    case streams
    case devices
    case agents
    case modelTokens = "model_tokens"
}

/// What an operator can set: the configuration's default, or an override of one tenant. Raw values are the names in JSON.
public enum LimitField: String, Sendable, CaseIterable {
    case requestsPerSecond
    case requestBurst
    case runsPerMinute
    case concurrentRuns
    case streams
    case devices
    case agents
    case modelTokensPerDay

    public var range: ClosedRange<Int> {
        switch self {
        case .requestsPerSecond: 1...Limits.maxRequestsPerSecond
        case .requestBurst: 1...Limits.maxRequestBurst
        case .runsPerMinute: 1...Limits.maxRunsPerMinute
        case .concurrentRuns: 1...Limits.maxConcurrentRunsOfTenant
        case .streams: 1...Limits.maxStreamsOfTenant
        case .devices: 1...Limits.maxDevicesOfTenant
        case .agents: 1...Limits.maxAgentsOfTenant
        case .modelTokensPerDay: 1...Limits.maxModelTokensPerDay
        }
    }
}

/// What a tenant may use. Limits belong to the tenant, not to a key: more keys give no more.
public struct TenantLimits: Sendable, Hashable {
    public var requestsPerSecond = 1000
    /// Requests that may come at once after a pause.
    public var requestBurst = 2000
    public var runsPerMinute = 3000
    /// Runs that workers have in hand, over all replicas.
    public var concurrentRuns = 200
    /// Open event streams, over all replicas.
    public var streams = 2000
    /// Connected devices, over all replicas.
    public var devices = 2000
    /// Agents that are stored and not deleted.
    public var agents = 1000
    /// Input and output tokens of model calls that begin on one day, UTC. nil: no bound, and no model call waits for Redis.
    public var modelTokensPerDay: Int?

    public init() {}

    /// Sets one field; the caller has checked the range.
    public mutating func set(_ field: LimitField, to value: Int) {
        switch field {
        case .requestsPerSecond: requestsPerSecond = value
        case .requestBurst: requestBurst = value
        case .runsPerMinute: runsPerMinute = value
        case .concurrentRuns: concurrentRuns = value
        case .streams: streams = value
        case .devices: devices = value
        case .agents: agents = value
        case .modelTokensPerDay: modelTokensPerDay = value
        }
    }

    public func applying(_ overrides: TenantLimitOverrides) -> TenantLimits {
        var limits = self
        for (field, value) in overrides.values { limits.set(field, to: value) }
        return limits
    }

    public var requestPolicy: RatePolicy {
        RatePolicy(.requests, perPeriod: requestsPerSecond, periodSeconds: 1, burst: requestBurst)
    }

    public var runPolicy: RatePolicy { RatePolicy(.runs, perPeriod: runsPerMinute, periodSeconds: 60, burst: runsPerMinute) }
}
