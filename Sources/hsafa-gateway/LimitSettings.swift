import Domain

extension SettingsReader {
    /// The limits of tenants that have no others: `LIMIT_…`.
    func tenantLimits() throws -> TenantLimits {
        var limits = TenantLimits()
        for field in LimitField.allCases {
            if let value = try int(field.settingKey, in: field.range) { limits.set(field, to: value) }
        }
        return limits
    }
}

extension LimitField {
    /// As `SettingsReader` takes it.
    var settingKey: String {
        switch self {
        case .requestsPerSecond: "limit.requests.per.second"
        case .requestBurst: "limit.request.burst"
        case .runsPerMinute: "limit.runs.per.minute"
        case .concurrentRuns: "limit.concurrent.runs"
        case .streams: "limit.streams"
        case .devices: "limit.devices"
        case .agents: "limit.agents"
        case .modelTokensPerDay: "limit.model.tokens.per.day"
        }
    }
}
