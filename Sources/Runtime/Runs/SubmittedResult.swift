public import Domain
import Storage
import Synchronization

extension RunService {
    private enum Refusal: Sendable {
        case waits, denied
    }

    /// The answer of a browser or an external system to its call. Such a call is dispatched by being read, out of the gateway's sight, so
    /// the gate is asked when its answer comes: where policy denies the call by now the answer is not taken, the call is denied, and
    /// 409 `denied_by_policy` says so; where it wants a person by now, the call waits for one (409 `approval_pending`) and can be answered
    /// afterwards.
    ///
    /// - Parameter targets: whose calls the caller may answer; 409 `wrong_target` for those of others.
    /// - Returns: False: the call already had its outcome.
    public func submitResult(
        _ scope: TenantScope, _ id: RunID, callID: CallID, outcome: ToolOutcome, targets: Set<ToolTarget> = [.browser, .external]
    ) async throws -> Bool {
        let run = try await get(scope, id)
        guard let call = try await database.tenant(scope).toolCall(callID), call.runID == id else {
            throw GatewayError.notFound("tool_call")
        }
        guard targets.contains(call.target), call.target == .browser || call.target == .external else {
            throw GatewayError.conflict(
                "wrong_target", "A call of target \(call.target.rawValue) is answered by its \(call.target.rawValue), not over this route.")
        }
        let outcome = try await withoutSecrets(outcome, run.versionID, scope)
        let named = outcome.named(call.target == .browser ? .browser : .external)
        let rules = try await gate.rules(scope)
        let refusal = Mutex<Refusal?>(nil)
        let decision = try await decide(scope, id) { state in
            refusal.withLock { refusal in
                refusal = nil
                return Self.take(named, of: callID, agent: run.agentName, rules, state, &refusal)
            }
        }
        switch refusal.withLock({ $0 }) {
        case .denied?:
            gate.count(.answer, call.target, .deny)
            throw GatewayError.conflict("denied_by_policy", "Policy denies this call by now; its result was not taken, and it was denied.")
        case .waits?:
            if decision.answer == .applied { gate.count(.answer, call.target, .requireApproval) }
            throw GatewayError.conflict(
                "approval_pending", "This call waits for a person: approve or deny it first, at …/tool-calls/\(callID)/approve or /deny.")
        case nil: break
        }
        if decision.answer == .applied { gate.count(.answer, call.target, .allow) }
        return decision.answer == .applied
            || decision.state.call(callID)?.outcome == named.bounded(to: decision.state.call(callID)?.maxResultBytes)
                && decision.answer == .nothingToDo
                && call.finishedAt == nil
    }

    private static func take(
        _ outcome: ToolOutcome, of callID: CallID, agent: String, _ rules: ToolRules, _ state: RunState, _ refusal: inout Refusal?
    ) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen else { return nil }
        guard !call.isAwaitingApproval else {
            refusal = .waits
            return nil
        }
        // The gate was asked when the gateway posted it, and its system has begun.
        if call.isDelivered, call.dispatches > 0 { return RunMachine.record(outcome, of: callID, in: state) }
        switch rules.atDispatch(agent: agent, call) {
        case .pass: return RunMachine.record(outcome, of: callID, in: state)
        case .refused(let denial, let record):
            refusal = .denied
            var transition = RunMachine.record(denial, of: callID, in: state)
            transition?.decisions = [record]
            return transition
        case .ask(let request, let record):
            refusal = .waits
            var transition = RunMachine.requireApproval(request, of: callID, in: state)
            transition?.decisions = [record]
            return transition
        }
    }
}

extension ToolOutcome {
    /// The same outcome as given by `source`.
    fileprivate func named(_ source: ResultSource) -> ToolOutcome {
        switch self {
        case .result(let json, _): .result(json, source: source)
        case .failed(let error, _): .failed(error, source: source)
        case .expired, .denied, .canceled: self
        }
    }
}
