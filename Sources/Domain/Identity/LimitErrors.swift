extension GatewayError {
    /// 429 (RFC 6585 §4); the code names the limit. nil for limits that refuse no request here: runs beyond `concurrent_runs` wait, a model
    /// call beyond the day's tokens ends with `tokensSpent`, a device's socket closes, and of agents `tooManyAgents` tells.
    public static func limitExceeded(_ name: LimitName, _ limits: TenantLimits, retryAfterSeconds: Int) -> GatewayError? {
        let (code, detail): (String, String)
        switch name {
        case .requests:
            code = "request_limit_exceeded"
            detail =
                "This tenant may make \(limits.requestsPerSecond) requests a second, \(limits.requestBurst) at once; wait as Retry-After says."
        case .runs:
            code = "run_limit_exceeded"
            detail = "This tenant may create \(limits.runsPerMinute) runs a minute; wait as Retry-After says. Nothing was created."
        case .streams:
            code = "stream_limit_exceeded"
            detail = "This tenant may have \(limits.streams) event streams open at once; close one, or try again later."
        case .concurrentRuns, .devices, .agents, .modelTokens: return nil
        }
        return GatewayError(status: 429, code: code, detail: detail, retryAfterSeconds: retryAfterSeconds)
    }

    /// Without `Retry-After`: waiting alone does not help.
    public static func tooManyAgents(_ limits: TenantLimits) -> GatewayError {
        GatewayError(
            status: 429, code: "agent_limit_exceeded",
            detail: "This tenant may have \(limits.agents) agents; delete one that is no longer used.")
    }

    public enum RunTokenLimit: Sendable {
        case requests, streams
    }

    /// 429 for whoever shows one run token too often.
    public static func runTokenLimitExceeded(_ limit: RunTokenLimit, retryAfterSeconds: Int) -> GatewayError {
        let detail =
            switch limit {
            case .requests: "A run token may make \(Int(Limits.runTokenRequestsPerSecond)) requests a second; wait as Retry-After says."
            case .streams: "A run token may have \(Limits.maxStreamsPerRunToken) event streams open at once; close one."
            }
        return GatewayError(status: 429, code: "run_token_limit_exceeded", detail: detail, retryAfterSeconds: retryAfterSeconds)
    }

    /// The day's tokens are spent: a call with a reservation of `wanted` does not fit.
    public static func tokensSpent(limit: Int, used: Int, wanted: Int, day: UsageDay) -> GatewayError {
        GatewayError(
            status: 429, code: "token_limit_exceeded",
            detail: "This tenant's limit model_tokens is \(limit) a day; \(used) are used and the next model call may need \(wanted). "
                + "It begins anew at \(day.end).")
    }
}
