public import JSON

/// A call to be written into the outbox with the events that request it.
public struct NewToolCall: Sendable, Hashable {
    public let callID: CallID
    public let providerCallID: String
    public let tool: String
    public let target: ToolTarget
    public let arguments: RawJSON
    public let device: DeviceSelector?
    public let timeoutSeconds: Int
    /// What of it is due at a time, and needs no worker until then.
    public let schedule: CallSchedule?

    public init(
        callID: CallID, providerCallID: String, tool: String, target: ToolTarget, arguments: RawJSON, device: DeviceSelector?,
        timeoutSeconds: Int, schedule: CallSchedule? = nil
    ) {
        self.callID = callID
        self.providerCallID = providerCallID
        self.tool = tool
        self.target = target
        self.arguments = arguments
        self.device = device
        self.timeoutSeconds = timeoutSeconds
        self.schedule = schedule
    }
}

extension NewToolCall {
    var isTimer: Bool { if case .timer = schedule { true } else { false } }
}

/// What is due for a call, and when.
public enum CallSchedule: Sendable, Hashable {
    /// Its result.
    case timer(Timestamp)
    /// The first attempt to deliver it to an external tool: at once.
    case delivery(Timestamp)

    public var dueAt: Timestamp {
        switch self {
        case .timer(let time), .delivery(let time): time
        }
    }

    /// As it is stored.
    public var kind: String {
        switch self {
        case .timer: "timer";
        case .delivery: "delivery"
        }
    }
}

/// The outcome of a call, to be written with the event that tells of it.
public struct CallOutcome: Sendable, Hashable {
    public let callID: CallID
    public let outcome: ToolOutcome

    public init(callID: CallID, outcome: ToolOutcome) {
        self.callID = callID
        self.outcome = outcome
    }
}

/// What a decision wants written, all of it or nothing: events, and the projection that goes with them.
public struct RunTransition: Sendable {
    public var events: [NewRunEvent]
    /// nil leaves the status as it is.
    public var status: RunStatus?
    /// Why a worker should take the run up again, when `status` is queued.
    public var resumeReason: String?
    public var newCalls: [NewToolCall] = []
    public var outcomes: [CallOutcome] = []
    public var dispatches: [(callID: CallID, deviceID: DeviceID)] = []
    /// The run's usage so far, when it changed.
    public var usage: TokenUsage?
    /// What the step's model call cost; counted in the tenant's books by the same transaction.
    public var spending: TokenSpending?
    public var error: ToolError?
    /// The step got its `assistant.message`.
    public var completesStep = false

    public init(events: [NewRunEvent], status: RunStatus? = nil) {
        self.events = events
        self.status = status
    }
}
