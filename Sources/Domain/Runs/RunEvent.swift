public import JSON

public enum RunStatus: String, Sendable, CaseIterable, Hashable {
    case queued, running
    case waitingTool = "waiting_tool"
    case completed, failed, canceled

    public var isTerminal: Bool { self == .completed || self == .failed || self == .canceled }
}

public enum RunEventType: String, Sendable, CaseIterable, Hashable {
    case runCreated = "run.created"
    case runStarted = "run.started"
    case runResumed = "run.resumed"
    case runStatus = "run.status"
    case stepStarted = "step.started"
    case stepRestarted = "step.restarted"
    case assistantDelta = "assistant.delta"
    case reasoningDelta = "reasoning.delta"
    case assistantMessage = "assistant.message"
    case toolCallRequested = "tool.call.requested"
    case toolCallApprovalRequired = "tool.call.approval_required"
    case toolCallApproved = "tool.call.approved"
    case toolCallDenied = "tool.call.denied"
    case toolCallDispatched = "tool.call.dispatched"
    case toolResultReceived = "tool.result.received"
    case toolCallExpired = "tool.call.expired"
    case toolCallCanceled = "tool.call.canceled"
    case runCancelRequested = "run.cancel_requested"
    case runCompleted = "run.completed"
    case runFailed = "run.failed"
    case runCanceled = "run.canceled"

    public var isTerminal: Bool { self == .runCompleted || self == .runFailed || self == .runCanceled }
    /// Deltas are left out when a log is folded: `assistant.message` carries the whole text.
    public var isDelta: Bool { self == .assistantDelta || self == .reasoningDelta }
}

/// An event that is not in the log yet: it gets its `seq` by being appended.
public struct NewRunEvent: Sendable, Hashable {
    public var type: RunEventType
    /// A JSON object without line breaks outside its strings, so that a frame is one line everywhere.
    public var data: RawJSON

    public init(_ type: RunEventType, _ data: RawJSON = .emptyObject) {
        self.type = type
        self.data = data
    }

    public init(_ type: RunEventType, _ build: (inout JSONWriter) -> Void) {
        self.init(type, RawJSON.object(build))
    }
}

/// One row of a run's log: immutable, `seq` = 1, 2, 3 … without holes.
public struct RunEvent: Sendable, Hashable {
    public let seq: Int64
    public let type: RunEventType
    public let time: Timestamp
    /// The claim under which it was written; 0 for what no worker wrote.
    public let claimNumber: Int32
    public let data: RawJSON

    public init(seq: Int64, type: RunEventType, time: Timestamp, claimNumber: Int32, data: RawJSON) {
        self.seq = seq
        self.type = type
        self.time = time
        self.claimNumber = claimNumber
        self.data = data
    }

    /// Appends `{"runId":…,"seq":…,"type":…,"ts":…,"data":…}`: the same bytes live and replayed.
    public func appendEnvelope(run: RunID, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: "{\"runId\":\"".utf8)
        bytes.append(contentsOf: run.description.utf8)
        bytes.append(contentsOf: "\",\"seq\":".utf8)
        bytes.append(contentsOf: String(seq).utf8)
        bytes.append(contentsOf: ",\"type\":\"".utf8)
        bytes.append(contentsOf: type.rawValue.utf8)
        bytes.append(contentsOf: "\",\"ts\":\"".utf8)
        time.append(to: &bytes)
        bytes.append(contentsOf: "\",\"data\":".utf8)
        bytes.append(contentsOf: data.bytes)
        bytes.append(UInt8(ascii: "}"))
    }
}
