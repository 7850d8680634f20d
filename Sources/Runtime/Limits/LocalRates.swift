import Domain
import Storage
import Synchronization

/// The rates of this process alone, for the time without Redis: a tenant then has its rate at each replica, not unlimited requests.
final class LocalRates: Sendable {
    private struct Arrivals {
        var requests = 0.0
        var runs = 0.0

        subscript(_ name: LimitName) -> Double {
            get { name == .runs ? runs : requests }
            set { if name == .runs { runs = newValue } else { requests = newValue } }
        }
    }

    private let start = ContinuousClock.now
    private let arrivals = Mutex<[TenantID: Arrivals]>([:])

    /// Takes one of each, or nothing.
    func take(_ tenant: TenantID, _ policies: [RatePolicy]) -> RateAnswer {
        let now = microseconds
        return arrivals.withLock { arrivals in
            if arrivals[tenant] == nil, arrivals.count >= Limits.maxCachedTenants { Self.makeRoom(&arrivals, now) }
            var next = arrivals[tenant] ?? Arrivals()
            var refusal: RateAnswer.Refusal?
            for policy in policies where refusal == nil {
                if let wait = policy.take(&next[policy.name], at: now) {
                    refusal = RateAnswer.Refusal(name: policy.name, retryMicroseconds: Int64(wait.rounded(.up)))
                }
            }
            if refusal == nil { arrivals[tenant] = next }
            return Self.answer(refusal, policies, arrivals[tenant], now)
        }
    }

    func look(_ tenant: TenantID, _ policies: [RatePolicy]) -> RateAnswer {
        arrivals.withLock { Self.answer(nil, policies, $0[tenant], microseconds) }
    }

    private var microseconds: Double {
        let elapsed = (ContinuousClock.now - start).components
        return Double(elapsed.seconds) * 1_000_000 + Double(elapsed.attoseconds) / 1e12
    }

    private static func answer(
        _ refusal: RateAnswer.Refusal?, _ policies: [RatePolicy], _ arrivals: Arrivals?, _ now: Double
    ) -> RateAnswer {
        let standings = policies.map { $0.standing((arrivals ?? Arrivals())[$0.name], at: now) }
        return RateAnswer(refusal: refusal, first: standings.first, second: standings.count > 1 ? standings[1] : nil)
    }

    /// Tenants whose allowance is whole again need no memory; where none is, one makes room.
    private static func makeRoom(_ arrivals: inout [TenantID: Arrivals], _ now: Double) {
        arrivals = arrivals.filter { $0.value.requests > now || $0.value.runs > now }
        if arrivals.count >= Limits.maxCachedTenants, let any = arrivals.keys.first { arrivals[any] = nil }
    }
}
