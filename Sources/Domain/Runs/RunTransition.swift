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
    /// Of the result's JSON; nil: the gateway's own bound alone.
    public let maxResultBytes: Int?
    /// Rules under whose `perRun` it counts.
    public let countedRules: [String]
    /// A person is asked first.
    public let approval: ApprovalRequest?
    /// The gateway posts it to the tool's system.
    public let isDelivered: Bool

    public init(
        callID: CallID, providerCallID: String, tool: String, target: ToolTarget, arguments: RawJSON, device: DeviceSelector?,
        timeoutSeconds: Int, maxResultBytes: Int? = nil, countedRules: [String] = [], approval: ApprovalRequest? = nil,
        isDelivered: Bool = false
    ) {
        self.callID = callID
        self.providerCallID = providerCallID
        self.tool = tool
        self.target = target
        self.arguments = arguments
        self.device = device
        self.timeoutSeconds = timeoutSeconds
        self.maxResultBytes = maxResultBytes
        self.countedRules = countedRules
        self.approval = approval
        self.isDelivered = isDelivered
    }

    var hold: ApprovalHold? {
        approval.map { approval in
            ApprovalHold(
                callID: callID, tool: tool, target: target,
                callHash: CallHash.of(callID, tool: tool, target: target, arguments: arguments), arguments: arguments,
                expiresSeconds: approval.expiresSeconds, rules: approval.rules)
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
    /// To a device; nil: to a system that has taken the call, or to a time.
    public var dispatches: [(callID: CallID, deviceID: DeviceID?)] = []
    /// What is due for calls from now on, and what no longer is.
    public var schedules: [ScheduleChange] = []
    /// The run that one of the calls starts, in the same transaction.
    public var child: NewChildRun?
    /// The run's usage so far, when it changed.
    public var usage: TokenUsage?
    /// What the step's model call cost; counted in the tenant's books by the same transaction.
    public var spending: TokenSpending?
    public var error: ToolError?
    /// Calls that wait for a person from now on, and those that no longer do.
    public var held: [ApprovalHold] = []
    public var settled: [ApprovalSettlement] = []
    /// What the gate decided about calls of this transition: rows of the audit log.
    public var decisions: [GateDecision] = []
    /// The step got its `assistant.message`.
    public var completesStep = false

    public init(events: [NewRunEvent], status: RunStatus? = nil) {
        self.events = events
        self.status = status
    }
}
