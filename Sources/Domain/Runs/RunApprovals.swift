import JSON

/// The part of the machine in which a person decides. A call that waits for one is requested, open, and not to be carried out.
extension RunMachine {
    static func approvalRequiredEvent(_ hold: ApprovalHold, expiresAt: Timestamp) -> NewRunEvent {
        NewRunEvent(.toolCallApprovalRequired) { writer in
            writer.field("callId", string: hold.callID.description)
            writer.field("tool", string: hold.tool)
            writer.field("target", string: hold.target.rawValue)
            writer.field("args", raw: hold.arguments)
            writer.field("callHash", string: hold.callHash)
            writer.field("expiresSeconds", int: hold.expiresSeconds)
            writer.field("expiresAt", string: expiresAt.description)
            writer.key("rules")
            writer.beginArray()
            for rule in hold.rules { writer.string(rule) }
            writer.endArray()
        }
    }

    /// Policy has changed since the call was requested: it wants a person now. nil when the call is not open, was dispatched, or was
    /// decided by a person already.
    public static func requireApproval(_ request: ApprovalRequest, of callID: CallID, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen, call.approval == nil, call.dispatches == 0,
            let target = call.target, let arguments = call.arguments, let callHash = call.callHash
        else { return nil }
        let hold = ApprovalHold(
            callID: callID, tool: call.call.name, target: target, callHash: callHash, arguments: arguments,
            expiresSeconds: request.expiresSeconds, rules: request.rules)
        var transition = RunTransition(events: [approvalRequiredEvent(hold, expiresAt: request.expiresAt)])
        transition.held = [hold]
        transition.schedules = call.schedule(.held)
        return transition
    }

    /// A person says yes. nil when the call does not wait for one. A call that this process' workers carry out puts the run back into
    /// the queue; others are dispatched from where they are. The event has all that carrying the call out takes: for whoever watches
    /// and answers calls, this is where a held call begins.
    public static func approve(_ callID: CallID, by approver: String, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen, case .pending(let callHash)? = call.approval,
            callHash == call.callHash
        else { return nil }
        let seconds = call.timeoutSeconds ?? Limits.defaultToolSeconds
        var transition = RunTransition(events: [
            NewRunEvent(.toolCallApproved) { writer in
                writer.field("callId", string: callID.description)
                writer.field("tool", string: call.call.name)
                writer.field("target", string: (call.target ?? .server).rawValue)
                writer.field("args", raw: call.arguments ?? .emptyObject)
                writer.field("timeoutSeconds", int: seconds)
                writer.field("callHash", string: callHash)
                writer.field("by", string: approver)
            }
        ])
        transition.settled = [ApprovalSettlement(callID: callID, status: .approved, timeoutSeconds: seconds)]
        transition.schedules = call.schedule(.now)
        if call.target == .server, state.status == .waitingTool {
            transition.events.append(statusEvent(.queued))
            transition.status = .queued
            transition.resumeReason = "approval"
        }
        return transition
    }

    /// A person says no. nil when the call does not wait for one.
    public static func denyApproval(_ callID: CallID, message: String, in state: RunState) -> RunTransition? {
        guard state.call(callID)?.isAwaitingApproval == true else { return nil }
        return record(.denied(reason: "approval_denied", message: message), of: callID, in: state)
    }

    /// The call's deadline is over: of the tool, or of the person who was to decide.
    public static func expire(_ callID: CallID, in state: RunState) -> RunTransition? {
        guard state.call(callID)?.isAwaitingApproval == true else { return record(.expired, of: callID, in: state) }
        return record(
            .denied(reason: "approval_expired", message: "Nobody approved the call before its approval expired."), of: callID, in: state)
    }

    /// What an outcome makes of an approval that was waited for.
    static func settlement(of call: CallState, by outcome: ToolOutcome) -> ApprovalSettlement? {
        guard call.isAwaitingApproval else { return nil }
        let status: ApprovalStatus =
            switch outcome {
            case .canceled: .canceled
            case .denied(let reason, _) where reason == "approval_expired": .expired
            case .expired: .expired
            case .denied, .failed, .result: .denied
            }
        return ApprovalSettlement(callID: call.call.callID, status: status, timeoutSeconds: nil)
    }
}
