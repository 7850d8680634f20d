public import Domain
import Storage

/// A tenant's limits, with all that is made of them once and used at each request.
public final class TenantRates: Sendable {
    public let limits: TenantLimits
    /// Takes one request.
    let request: RateQuestion
    /// Takes one request and one run.
    let creation: RateQuestion
    /// Takes one run, which no request asks for.
    let run: RateQuestion
    /// Takes nothing of a rate; for holders.
    let none: RateQuestion
    /// Takes nothing; tells what is left.
    let look: RateQuestion
    /// Values of `RateLimit-Policy`.
    public let requestPolicyHeader: String
    public let creationPolicyHeader: String

    init(_ tenant: TenantID, _ limits: TenantLimits) {
        self.limits = limits
        let (requests, runs) = (limits.requestPolicy, limits.runPolicy)
        request = RateQuestion(tenant, [requests])
        creation = RateQuestion(tenant, [requests, runs])
        run = RateQuestion(tenant, [runs])
        none = RateQuestion(tenant, [])
        look = RateQuestion(tenant, [requests, runs], cost: 0)
        requestPolicyHeader = requests.header
        creationPolicyHeader = requests.header + ", " + runs.header
    }

    func question(_ kind: RequestKind) -> RateQuestion {
        switch kind {
        case .plain, .stream: request
        case .runCreation: creation
        case .childRun: run
        }
    }
}

/// What a request takes of its tenant's limits.
public enum RequestKind: Sendable {
    case plain
    /// One of the runs a minute, too.
    case runCreation
    /// No request: one of the runs a minute, for a run that a call of another starts.
    case childRun
    /// A place among the open streams, too.
    case stream
}
