import Domain
import Storage
import Synchronization

extension ToolGate {
    /// The pass for a call that is about to be posted to its system. nil when there is none, and why is in the log by then: it was denied,
    /// or waits for a person, or has its outcome.
    func pass(
        _ callID: CallID, of run: RunID, agent: String, _ scope: TenantScope, _ runs: RunService
    ) async throws -> ToolPass? {
        let rules = try await rules(scope)
        let verdict = Mutex<DispatchVerdict?>(nil)
        let decision = try await runs.decide(scope, run) { state in
            guard !state.status.isTerminal, let call = state.call(callID), call.isOpen, call.isDelivered, call.dispatches == 0,
                !call.isAwaitingApproval
            else {
                verdict.withLock { $0 = nil }
                return nil
            }
            let now = rules.atDispatch(agent: agent, call)
            verdict.withLock { $0 = now }
            switch now {
            case .pass: return nil
            case .refused(let outcome, let record):
                var transition = RunMachine.record(outcome, of: callID, in: state)
                transition?.decisions = [record]
                return transition
            case .ask(let request, let record):
                var transition = RunMachine.requireApproval(request, of: callID, in: state)
                transition?.decisions = [record]
                return transition
            }
        }
        switch verdict.withLock({ $0 }) {
        case .pass(let pass):
            count(.dispatch, .external, .allow)
            return pass
        case .refused: if decision.answer == .applied { count(.dispatch, .external, .deny) }
        case .ask: if decision.answer == .applied { count(.dispatch, .external, .requireApproval) }
        case nil: break
        }
        return nil
    }
}
