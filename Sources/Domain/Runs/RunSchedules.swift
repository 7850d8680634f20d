import JSON

/// The part of the machine in which a call's outcome is left to a time, or to a system that has taken the call.
extension RunMachine {
    /// A server call whose result comes by itself at `due`; nobody works on it until then. nil when it is no longer open, waits for a
    /// person, or has its time already.
    public static func schedule(_ callID: CallID, at due: Timestamp, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen, call.target == .server, call.dueAt == nil,
            !call.isAwaitingApproval
        else { return nil }
        var transition = RunTransition(events: [
            NewRunEvent(.toolCallDispatched) { writer in
                writer.field("callId", string: callID.description)
                writer.field("attempt", int: 1)
                writer.field("dueAt", string: due.description)
            }
        ])
        transition.dispatches = [(callID, nil)]
        transition.schedules = [ScheduleChange(callID, .timer, .at(due))]
        return transition
    }

    /// A system has taken the call that was posted to it, and promises its result. nil when the call is no longer open, waits for a
    /// person, or was taken already.
    public static func accept(_ callID: CallID, attempt: Int, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen, call.isDelivered, call.dispatches == 0,
            !call.isAwaitingApproval
        else { return nil }
        var transition = RunTransition(events: [
            NewRunEvent(.toolCallDispatched) { writer in
                writer.field("callId", string: callID.description)
                writer.field("attempt", int: attempt)
            }
        ])
        transition.dispatches = [(callID, nil)]
        transition.schedules = call.schedule(.never)
        return transition
    }
}
