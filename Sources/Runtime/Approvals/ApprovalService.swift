public import Domain
import JSON
public import Storage

/// People who decide about calls.
public struct ApprovalService: Sendable {
    private let database: Database
    private let runs: RunService
    private let gate: ToolGate
    /// Called once an approval is committed, so that the call goes where it is carried out.
    private let released: @Sendable (TenantScope, CallID, ToolTarget) -> Void

    init(
        database: Database, runs: RunService, gate: ToolGate, released: @escaping @Sendable (TenantScope, CallID, ToolTarget) -> Void
    ) {
        self.database = database
        self.runs = runs
        self.gate = gate
        self.released = released
    }

    public func list(_ scope: TenantScope, _ status: ApprovalStatus?, _ page: PageRequest) async throws -> Page<ApprovalRecord> {
        let rows = try await database.tenant(scope).approvals(status, limit: page.limit + 1, after: try page.after(CallID.self))
        return Page(rows: rows, limit: page.limit) { $0.callID.description }
    }

    /// 404 for a call that is not there, or of which nobody is asked.
    public func get(_ scope: TenantScope, _ run: RunID, _ call: CallID) async throws -> ApprovalRecord {
        _ = try await runs.get(scope, run)
        guard let approval = try await database.tenant(scope).approval(of: call, in: run) else { throw GatewayError.notFound("approval") }
        return approval
    }

    /// Good for exactly the call that stands in the log, until `expiresAt`: who comes later is told that it has expired, also where no
    /// sweep has written that down yet. Where policy denies the call by now, that beats the person: the call is denied, and 409
    /// `denied_by_policy` says so.
    ///
    /// - Parameter callHash: what the approver saw; 409 `call_differs` when it is of another call.
    public func approve(
        _ scope: TenantScope, _ run: RunID, _ call: CallID, callHash: String?, by author: ChangeAuthor
    ) async throws -> ApprovalRecord {
        let approval = try await get(scope, run, call, callHash)
        let rules = try await gate.rules(scope)
        let approver = "\(author.kind.rawValue):\(author.id)"
        let audit = (author, Self.entry(.toolCallApprove, approval))
        let decision = try await runs.decide(scope, run, audit: audit) { state in
            guard let pending = state.call(call), pending.isAwaitingApproval else { return nil }
            if Self.isDenied(rules, approval.agentName, pending) { return nil }
            return RunMachine.approve(call, by: approver, in: state)
        }
        switch decision.answer {
        case .applied:
            released(scope, call, approval.target)
            return try await get(scope, run, call)
        case .pastDeadline: throw try await expired(scope, run, call)
        case .nothingToDo:
            guard decision.state.call(call)?.isAwaitingApproval == true else { throw try await decided(scope, run, call) }
            guard try await denyByPolicy(rules, approval) else { throw try await expired(scope, run, call) }
            throw GatewayError.conflict("denied_by_policy", "Policy denies this call by now, whoever approves it; the call was denied.")
        }
    }

    public func deny(
        _ scope: TenantScope, _ run: RunID, _ call: CallID, callHash: String?, reason: String?, by author: ChangeAuthor
    ) async throws -> ApprovalRecord {
        let approval = try await get(scope, run, call, callHash)
        let message = reason.map { "A person denied the call: \($0)" } ?? "A person denied the call."
        let decision = try await runs.decide(scope, run, audit: (author, Self.entry(.toolCallDeny, approval))) { state in
            RunMachine.denyApproval(call, message: message, in: state)
        }
        switch decision.answer {
        case .applied: return try await get(scope, run, call)
        case .pastDeadline: throw try await expired(scope, run, call)
        case .nothingToDo: throw try await decided(scope, run, call)
        }
    }

    // MARK: Parts

    private func get(_ scope: TenantScope, _ run: RunID, _ call: CallID, _ callHash: String?) async throws -> ApprovalRecord {
        let approval = try await get(scope, run, call)
        guard let callHash, callHash != approval.callHash else { return approval }
        throw GatewayError.conflict("call_differs", "This call is not the one whose hash was given; look at it again before deciding.")
    }

    private static func entry(_ action: AuditAction, _ approval: ApprovalRecord) -> AuditEntry {
        AuditEntry(action, approval.callID) { writer in
            writer.field("runId", string: approval.runID.description)
            writer.field("tool", string: approval.tool)
            writer.field("target", string: approval.target.rawValue)
            writer.field("callHash", string: approval.callHash)
        }
    }

    private static func isDenied(_ rules: ToolRules, _ agent: String, _ call: CallState) -> Bool {
        guard case .refused(let outcome, _) = rules.atDispatch(agent: agent, call.asIfApproved) else { return false }
        if case .denied = outcome { return true }
        return false
    }

    /// false: the approval has expired before it came to that.
    private func denyByPolicy(_ rules: ToolRules, _ approval: ApprovalRecord) async throws -> Bool {
        let decision = try await runs.decide(rules.scope, approval.runID) { state in
            guard let call = state.call(approval.callID), call.isAwaitingApproval,
                case .refused(let outcome, let record) = rules.atDispatch(agent: approval.agentName, call.asIfApproved)
            else { return nil }
            var transition = RunMachine.record(outcome, of: approval.callID, in: state)
            transition?.decisions = [record]
            return transition
        }
        if decision.answer == .applied { gate.count(.dispatch, approval.target, .deny) }
        return decision.answer != .pastDeadline
    }

    /// Nobody has written the expiry down yet, so it is done here.
    private func expired(_ scope: TenantScope, _ run: RunID, _ call: CallID) async throws -> GatewayError {
        _ = try await runs.decide(scope, run) { state in
            state.call(call)?.isAwaitingApproval == true ? RunMachine.expire(call, in: state) : nil
        }
        return try await decided(scope, run, call)
    }

    /// Somebody, or the clock, was first.
    private func decided(_ scope: TenantScope, _ run: RunID, _ call: CallID) async throws -> GatewayError {
        let status = try await get(scope, run, call).status
        return GatewayError.conflict(
            "approval_already_decided",
            status == .pending
                ? "The run has moved on; look at it again." : "This call is \(status.rawValue) already; a decision is made once.")
    }
}

extension CallState {
    /// As it would be, had a person just approved it: what policy alone says of it.
    fileprivate var asIfApproved: CallState {
        var call = self
        if let hash = callHash { call.approval = .approved(callHash: hash) }
        return call
    }
}
