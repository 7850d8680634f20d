import JSON

/// Where a run came from that a call of another run started; stands in its `run.created`.
public struct RunParent: Sendable, Hashable {
    public let runID: RunID
    public let callID: CallID
    /// The run at the top of the tree, which somebody started.
    public let rootRunID: RunID
    /// Below the run at the top, which has 0.
    public let depth: Int
    /// What of this run's answer is the call's result.
    public let output: AgentTool.Output

    public init(runID: RunID, callID: CallID, rootRunID: RunID, depth: Int, output: AgentTool.Output) {
        self.runID = runID
        self.callID = callID
        self.rootRunID = rootRunID
        self.depth = depth
        self.output = output
    }

    init?(reading node: JSONNode) {
        guard let runID = node["runId"]?.string.flatMap({ RunID($0) }), let callID = node["callId"]?.string.flatMap({ CallID($0) }),
            let rootRunID = node["rootRunId"]?.string.flatMap({ RunID($0) }), let depth = node["depth"]?.int
        else { return nil }
        self.init(
            runID: runID, callID: callID, rootRunID: rootRunID, depth: depth,
            output: node["output"]?.string.flatMap(AgentTool.Output.init(rawValue:)) ?? .text)
    }

    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("runId", string: runID.description)
        writer.field("callId", string: callID.description)
        writer.field("rootRunId", string: rootRunID.description)
        writer.field("depth", int: depth)
        writer.field("output", string: output.rawValue)
        writer.endObject()
    }
}

/// A run that a call is about to start.
public struct NewChildRun: Sendable, Hashable {
    public let runID: RunID
    public let agentID: AgentID
    public let agentName: String
    public let versionID: AgentVersionID
    public let parent: RunParent
    /// Its first event, and when that was written.
    public let created: NewRunEvent
    public let time: Timestamp

    /// - Parameter deadlineSeconds: the call's own time-out; the database holds the run to the call's deadline, whenever that began.
    public init(
        agentID: AgentID, agentName: String, versionID: AgentVersionID, parent: RunParent, message: String, deadlineSeconds: Int,
        now: Timestamp = .now()
    ) {
        runID = .generate()
        self.agentID = agentID
        self.agentName = agentName
        self.versionID = versionID
        self.parent = parent
        time = now
        created = NewRunEvent(.runCreated) { writer in
            writer.field("agentId", string: agentID.description)
            writer.field("agentName", string: agentName)
            writer.field("agentVersionId", string: versionID.description)
            writer.key("parent")
            parent.write(to: &writer)
            writer.key("messages")
            writer.beginArray()
            ConversationTurn.message(InitialMessage(role: .user, text: message)).write(to: &writer)
            writer.endArray()
            writer.field("deadlineSeconds", int: deadlineSeconds)
        }
    }
}

/// The part of the machine in which a call starts a run.
extension RunMachine {
    /// nil when the call is no longer to be carried out, or has its run. A run that has started its last gives the call an error instead.
    public static func startChild(_ child: NewChildRun, in state: RunState) -> RunTransition? {
        guard !state.status.isTerminal, !state.isCancelRequested, let call = state.call(child.parent.callID), call.isOpen,
            call.target == .server, !call.isAwaitingApproval, call.childRunID == nil
        else { return nil }
        guard state.childCount < Limits.maxChildrenOfRun else {
            let error = ToolError(
                code: "too_many_children",
                message: "A run starts at most \(Limits.maxChildrenOfRun) runs, and this one has; go on without \(call.call.name).")
            return record(.failed(error, source: .gateway), of: call.call.callID, in: state)
        }
        var transition = RunTransition(events: [
            NewRunEvent(.toolCallDispatched) { writer in
                writer.field("callId", string: call.call.callID.description)
                writer.field("childRunId", string: child.runID.description)
                writer.field("attempt", int: call.dispatches + 1)
            }
        ])
        transition.child = child
        return transition
    }

    /// What a run that has ended is to the call that started it; nil for one that goes on, or that no call started.
    public static func outcome(ofChild state: RunState) -> ToolOutcome? {
        guard let parent = state.parent else { return nil }
        func failed(_ code: String, _ message: String) -> ToolOutcome { .failed(ToolError(code: code, message: message), source: .server) }
        switch state.status {
        case .queued, .running, .waitingTool: return nil
        case .completed: return AgentTool.result(state.lastText ?? "", as: parent.output)
        case .failed:
            let error = state.error.map { "\($0.message) (\($0.code))" } ?? "no reason is known"
            return failed("child_failed", "The agent's run failed: \(error)")
        case .canceled:
            return failed("child_canceled", "The agent's run was canceled\(state.cancelReason.map { ": \($0)" } ?? ".")")
        }
    }
}
