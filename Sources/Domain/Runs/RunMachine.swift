import JSON

/// What a worker does next with a run that it holds.
public enum WorkerAction: Sendable {
    /// Ask the model. With `discardAfterSeq` the step was cut: deltas after that seq are void.
    case callModel(step: Int, discardAfterSeq: Int64?)
    /// Carry these out in this process.
    case runServerCalls([CallState])
    /// Write this, then let go of the run.
    case end(RunTransition)
}

/// A call that the model asked for, after the gate.
public enum PreparedCall: Sendable {
    case admitted(NewToolCall)
    /// Known tool, refused: it is requested and has its outcome at once. Unknown tool or broken arguments: no `tool`.
    case refused(RequestedCall, tool: NewToolCall?, outcome: ToolOutcome)

    var requested: CallID {
        switch self {
        case .admitted(let call): call.callID
        case .refused(let call, _, _): call.callID
        }
    }
}

/// The only place where a run's status changes. Pure: a state and a fact go in, what to write comes out.
///
/// Legal steps: queued → running (a claim), running → waiting_tool → queued, running → queued (handed back), and from each
/// of the three to one of completed, failed, canceled, which have no way out.
public enum RunMachine {
    /// What is next for the worker that holds the run.
    public static func next(_ state: RunState, maxSteps: Int) -> WorkerAction {
        if state.isCancelRequested { return .end(canceled(state)) }
        if state.recoveries > Limits.maxRecoveriesWithoutProgress {
            return .end(
                failed(
                    state, code: "too_many_recoveries",
                    message: "The run was taken up \(state.recoveries) times after a crash without completing a step."))
        }
        if state.isStepOpen { return .callModel(step: state.step, discardAfterSeq: state.stepStartSeq) }
        let open = state.openCalls
        let server = open.filter { $0.target == .server && !$0.isAwaitingApproval && $0.dueAt == nil && $0.childRunID == nil }
        if !server.isEmpty { return .runServerCalls(server) }
        if !open.isEmpty {
            return .end(RunTransition(events: [statusEvent(.waitingTool)], status: .waitingTool))
        }
        if state.step > 0, state.calls.isEmpty { return .end(completed(state, finishReason: "stop")) }
        if state.step >= maxSteps { return .end(maxStepsReached(state, maxSteps: maxSteps)) }
        return .callModel(step: state.step + 1, discardAfterSeq: nil)
    }

    /// A server whose tools the model is not shown in a step, and why.
    public struct UnavailableServer: Sendable, Hashable {
        public let name: String
        public let error: ToolError

        public init(name: String, error: ToolError) {
            self.name = name
            self.error = error
        }
    }

    public static func stepStarted(_ step: Int, without servers: [UnavailableServer] = []) -> NewRunEvent {
        NewRunEvent(.stepStarted) { writer in
            writer.field("step", int: step)
            write(servers, to: &writer)
        }
    }

    public static func stepRestarted(
        _ step: Int, discardAfterSeq: Int64, reason: String, without servers: [UnavailableServer] = []
    ) -> NewRunEvent {
        NewRunEvent(.stepRestarted) { writer in
            writer.field("step", int: step)
            writer.field("discardAfterSeq", int: discardAfterSeq)
            writer.field("reason", string: reason)
            write(servers, to: &writer)
        }
    }

    private static func write(_ servers: [UnavailableServer], to writer: inout JSONWriter) {
        guard !servers.isEmpty else { return }
        writer.key("unavailableServers")
        writer.beginArray()
        for server in servers {
            writer.beginObject()
            writer.field("server", string: server.name)
            writer.field("error", raw: server.error.json)
            writer.endObject()
        }
        writer.endArray()
    }

    /// The model has spoken: its message, the calls it asked for, and where nothing is left to do here, the end or the wait.
    public static func finishStep(
        _ state: RunState, message: NewRunEvent, calls: [PreparedCall], usage: TokenUsage, finishReason: String, maxSteps: Int
    ) -> RunTransition {
        var transition = RunTransition(events: [message])
        transition.usage = state.usage + usage
        transition.completesStep = true
        if state.isCancelRequested {
            // The cancel came while the model spoke: what it said is kept, what it asked for is not begun.
            for call in calls {
                transition.events.append(RunEventData.outcome(.canceled(reason: "run_canceled"), of: call.requested))
            }
            transition.events.append(canceledEvent(reason: state.cancelReason, usage: state.usage + usage))
            transition.status = .canceled
            return transition
        }
        if calls.isEmpty {
            transition.events.append(completedEvent(step: state.step, usage: state.usage + usage, finishReason: finishReason))
            transition.status = .completed
            return transition
        }
        if state.step >= maxSteps {
            for call in calls {
                transition.events.append(RunEventData.outcome(.canceled(reason: "max_steps_reached"), of: call.requested))
            }
            let end = maxStepsFailure(maxSteps)
            transition.events.append(RunEventData.failure(code: end.code, message: end.message, usage: state.usage + usage))
            transition.error = end
            transition.status = .failed
            return transition
        }
        for call in calls { add(call, step: state.step, to: &transition) }
        let waits = transition.newCalls.contains { new in !transition.outcomes.contains { $0.callID == new.callID } }
        let runsHere = transition.newCalls.contains { new in
            new.target == .server && new.approval == nil && !transition.outcomes.contains { $0.callID == new.callID }
        }
        if waits && !runsHere {
            transition.events.append(statusEvent(.waitingTool))
            transition.status = .waitingTool
        }
        return transition
    }

    private static func add(_ call: PreparedCall, step: Int, to transition: inout RunTransition) {
        switch call {
        case .admitted(let new):
            transition.newCalls.append(new)
            transition.events.append(requestedEvent(new, step: step))
            if new.isDelivered { transition.schedules.append(ScheduleChange(new.callID, .delivery, new.approval == nil ? .now : .held)) }
            if let hold = new.hold, let approval = new.approval {
                transition.held.append(hold)
                transition.events.append(approvalRequiredEvent(hold, expiresAt: approval.expiresAt))
            }
        case .refused(let requested, let tool, let outcome):
            if let tool {
                transition.newCalls.append(tool)
                transition.events.append(requestedEvent(tool, step: step))
                transition.outcomes.append(CallOutcome(callID: requested.callID, outcome: outcome))
            }
            transition.events.append(RunEventData.outcome(outcome, of: requested.callID))
        }
    }

    private static func requestedEvent(_ call: NewToolCall, step: Int) -> NewRunEvent {
        NewRunEvent(.toolCallRequested) { writer in
            writer.field("callId", string: call.callID.description)
            writer.field("providerCallId", string: call.providerCallID)
            writer.field("tool", string: call.tool)
            writer.field("target", string: call.target.rawValue)
            // What is not to be carried out yet has nothing that it could be carried out with.
            if call.approval == nil { writer.field("args", raw: call.arguments) } else { writer.field("held", bool: true) }
            writer.field("step", int: step)
            writer.field("timeoutSeconds", int: call.timeoutSeconds)
            writer.field("maxResultBytes", intIfPresent: call.maxResultBytes)
            if call.isDelivered { writer.field("delivery", string: "webhook") }
            if !call.countedRules.isEmpty {
                writer.key("countedRules")
                writer.beginArray()
                for rule in call.countedRules { writer.string(rule) }
                writer.endArray()
            }
        }
    }

    /// A call has come to something. nil when it already had an outcome, or is not of this step: the first wins.
    public static func record(_ outcome: ToolOutcome, of callID: CallID, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen else { return nil }
        // Nobody was asked yet, so nobody can have answered.
        if call.isAwaitingApproval, outcome.source != .gateway { return nil }
        let outcome = outcome.bounded(to: call.maxResultBytes)
        var transition = RunTransition(events: [RunEventData.outcome(outcome, of: callID)])
        if call.target != nil { transition.outcomes = [CallOutcome(callID: callID, outcome: outcome)] }
        if let settlement = settlement(of: call, by: outcome) { transition.settled = [settlement] }
        transition.schedules = call.schedule(.never)
        if state.status == .waitingTool, state.openCalls.count == 1 {
            transition.events.append(statusEvent(.queued))
            transition.status = .queued
            let isTimer = call.dueAt != nil && outcome.result != nil
            transition.resumeReason = call.isAwaitingApproval ? "approval" : isTimer ? "timer" : "tool_results"
        }
        return transition
    }

    /// A call goes to a device. nil when it is no longer open or already asked of another device.
    public static func dispatch(_ callID: CallID, to deviceID: DeviceID, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, let call = state.call(callID), call.isOpen, call.target == .device, call.deviceID == nil,
            !call.isAwaitingApproval
        else {
            return nil
        }
        var transition = RunTransition(events: [
            NewRunEvent(.toolCallDispatched) { writer in
                writer.field("callId", string: callID.description)
                writer.field("deviceId", string: deviceID.description)
                writer.field("attempt", int: call.dispatches + 1)
            }
        ])
        transition.dispatches = [(callID, deviceID)]
        return transition
    }

    /// Someone wants the run to end. nil when it has ended or was already told.
    public static func requestCancel(_ state: RunState, reason: String?) -> RunTransition? {
        guard !state.status.isTerminal else { return nil }
        let request = NewRunEvent(.runCancelRequested) { $0.field("reason", stringIfPresent: reason) }
        if state.status == .running { return state.isCancelRequested ? nil : RunTransition(events: [request]) }
        var transition = canceled(state, reason: reason)
        if !state.isCancelRequested { transition.events.insert(request, at: 0) }
        return transition
    }

    /// Why a run is given back, as `run.resumed` will say.
    public enum HandBackReason: String, Sendable {
        /// This process cannot finish it: another worker goes on with it.
        case handedOver = "handed_over"
        /// Its tenant was suspended: nobody goes on with it before the tenant is resumed.
        case unsuspended
    }

    public static func handBack(_ state: RunState, _ reason: HandBackReason = .handedOver) -> RunTransition? {
        guard state.status == .running else { return nil }
        var transition = RunTransition(events: [statusEvent(.queued)], status: .queued)
        transition.resumeReason = reason.rawValue
        return transition
    }

    public static func failed(_ state: RunState, code: String, message: String) -> RunTransition {
        var transition = RunTransition(events: [], status: .failed)
        cancelOpenCalls(of: state, reason: code, in: &transition)
        transition.events.append(RunEventData.failure(code: code, message: message, usage: state.usage))
        transition.error = ToolError(code: code, message: message)
        return transition
    }

    private static func canceled(_ state: RunState, reason: String? = nil) -> RunTransition {
        var transition = RunTransition(events: [], status: .canceled)
        cancelOpenCalls(of: state, reason: "run_canceled", in: &transition)
        transition.events.append(canceledEvent(reason: reason ?? state.cancelReason, usage: state.usage))
        return transition
    }

    private static func canceledEvent(reason: String?, usage: TokenUsage) -> NewRunEvent {
        NewRunEvent(.runCanceled) { writer in
            writer.field("reason", stringIfPresent: reason)
            writer.key("usage")
            usage.write(to: &writer)
        }
    }

    private static func completed(_ state: RunState, finishReason: String) -> RunTransition {
        RunTransition(events: [completedEvent(step: state.step, usage: state.usage, finishReason: finishReason)], status: .completed)
    }

    private static func maxStepsReached(_ state: RunState, maxSteps: Int) -> RunTransition {
        let end = maxStepsFailure(maxSteps)
        return failed(state, code: end.code, message: end.message)
    }

    private static func maxStepsFailure(_ maxSteps: Int) -> ToolError {
        ToolError(code: "max_steps_reached", message: "The agent did not finish within loop.maxSteps = \(maxSteps) steps.")
    }

    private static func cancelOpenCalls(of state: RunState, reason: String, in transition: inout RunTransition) {
        for call in state.openCalls {
            let outcome = ToolOutcome.canceled(reason: reason)
            transition.events.append(RunEventData.outcome(outcome, of: call.call.callID))
            if call.target != nil { transition.outcomes.append(CallOutcome(callID: call.call.callID, outcome: outcome)) }
            if let settlement = settlement(of: call, by: outcome) { transition.settled.append(settlement) }
            transition.schedules += call.schedule(.never)
        }
    }

    private static func completedEvent(step: Int, usage: TokenUsage, finishReason: String) -> NewRunEvent {
        NewRunEvent(.runCompleted) { writer in
            writer.field("finishReason", string: finishReason)
            writer.field("steps", int: step)
            writer.key("usage")
            usage.write(to: &writer)
        }
    }

    static func statusEvent(_ status: RunStatus) -> NewRunEvent {
        NewRunEvent(.runStatus) { $0.field("status", string: status.rawValue) }
    }
}
