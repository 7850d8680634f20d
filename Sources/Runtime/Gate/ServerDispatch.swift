import Domain
import Storage

extension ToolGate {
    /// The pass for a call that this process is about to carry out; nil when there is none, and why is in the log by then: it was denied,
    /// or waits for a person.
    func pass(_ call: CallState, _ writer: RunWriter) async throws -> ToolPass? {
        let callID = call.call.callID
        switch try await rules(writer.claimed.scope).atDispatch(agent: writer.claimed.agentName, call) {
        case .pass(let pass):
            count(.dispatch, .server, .allow)
            return pass
        case .refused(let outcome, let record):
            count(.dispatch, .server, .deny)
            try await writer.transition { state in
                var transition = RunMachine.record(outcome, of: callID, in: state)
                transition?.decisions = [record]
                return transition
            }
        case .ask(let request, let record):
            count(.dispatch, .server, .requireApproval)
            try await writer.transition { state in
                var transition = RunMachine.requireApproval(request, of: callID, in: state)
                transition?.decisions = [record]
                return transition
            }
        }
        return nil
    }
}
