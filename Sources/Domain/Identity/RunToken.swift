/// What a run token may give beside watching.
public enum RunTokenGrant: String, Sendable, CaseIterable, Hashable {
    /// To answer the run's calls of target browser.
    case tools
    /// To decide about the run's approvals.
    case approvals

    /// Nobody hands out more than he has.
    public var scope: Scope {
        switch self {
        case .tools: .toolsRespond
        case .approvals: .approvalsWrite
        }
    }
}

/// A token of one run, as a request brought it: watching that run, and what was granted beside it.
public struct RunToken: Sendable, Hashable {
    public let tokenID: RunTokenID
    public let runID: RunID
    public let grants: Set<RunTokenGrant>

    public init(tokenID: RunTokenID, runID: RunID, grants: Set<RunTokenGrant>) {
        self.tokenID = tokenID
        self.runID = runID
        self.grants = grants
    }

    /// What an operation asks of a token.
    public enum Use: Sendable, Equatable {
        case watch
        /// To watch, by a client that may have no way to send a header: the token may stand in the query.
        case stream
        case grant(RunTokenGrant)

        public static let tools = Use.grant(.tools)
        public static let approvals = Use.grant(.approvals)
    }

    /// 403 where `use` was not granted; 404, as for what is not there, where the request is about another run than the token's.
    ///
    /// - Parameter run: nil where the path names no run.
    public func require(_ use: Use, on run: RunID?) throws(GatewayError) {
        if case .grant(let grant) = use, !grants.contains(grant) { throw .missingGrant(grant) }
        guard run == runID else { throw .notFound("run") }
    }
}
