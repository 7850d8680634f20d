import Domain
import HsafaClient
import JSON
import Storage
import TestSupport
import Testing

extension TestTenant {
    /// A tenant whose limits an operator has set, before its first request.
    static func limited(
        _ changes: [LimitField: Int?], on gateway: TestGateway? = nil, scopes: [Scope] = Scope.allCases
    ) async throws -> TestTenant {
        let tenant = try await make(on: gateway, scopes: scopes)
        try await tenant.limit(changes)
        return tenant
    }

    func limit(_ changes: [LimitField: Int?]) async throws {
        let applied = try await TenantLimitsStore(owner: gateway.environment.owner).apply(TenantLimitPatch(changes), to: scope.tenantID)
        try #require(applied != nil)
    }

    /// A rate that does not grow back while a test runs, for as long as that takes less than `burst` seconds.
    static func slow(burst: Int) -> [LimitField: Int?] { [.requestsPerSecond: 1, .requestBurst: burst] }

    /// A run that waits for a browser, so that its stream stays open.
    func waitingRun() async throws -> String {
        try await run(steps: [Config.calls("ask"), Config.says], tools: [Config.browser("ask")])
    }
}

extension Answer {
    /// The numbers of a RateLimit or RateLimit-Policy field: name → parameter → value.
    func rates(_ field: String) throws -> [String: [String: Int]] {
        var rates: [String: [String: Int]] = [:]
        for item in try #require(header(field), "no \(field)").split(separator: ",") {
            let parts = item.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\"" } }
            for parameter in parts.dropFirst() {
                let pair = parameter.split(separator: "=")
                guard pair.count == 2, let number = Int(pair[1]) else {
                    Issue.record("\(field): \(item)")
                    continue
                }
                rates[parts[0], default: [:]][String(pair[0])] = number
            }
        }
        return rates
    }
}
