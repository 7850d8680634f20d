public import JSON

/// A call of the run's current step.
public struct CallState: Sendable, Hashable {
    public let call: RequestedCall
    public var target: ToolTarget?
    public var arguments: RawJSON?
    public var deviceID: DeviceID?
    /// The run that it started.
    public var childRunID: RunID?
    public var dispatches: Int
    /// When its result comes by itself.
    public var dueAt: Timestamp?
    /// The gateway posts it to the tool's system; otherwise whoever answers it asks for it.
    public var isDelivered = false
    public var outcome: ToolOutcome?
    /// As requested, policy's bounds included.
    public var timeoutSeconds: Int?
    public var maxResultBytes: Int?
    /// nil: no person was asked.
    public var approval: CallApproval?

    init(_ call: RequestedCall) {
        self.call = call
        dispatches = 0
    }

    /// Asked of a target and without an outcome.
    public var isOpen: Bool { outcome == nil }

    /// Of the call as the log has it, computed anew; nil for one that was asked of no target.
    public var callHash: String? {
        guard let target, let arguments else { return nil }
        return CallHash.of(call.callID, tool: call.name, target: target, arguments: arguments)
    }

    public var isAwaitingApproval: Bool { if case .pending? = approval { isOpen } else { false } }
    /// A person said yes to this very call.
    public var isApproved: Bool { if case .approved(let hash)? = approval { hash == callHash } else { false } }
}

/// A log that cannot be folded: it was damaged, or written by a version that this one does not know.
public struct RunLogFault: Error, Sendable, Hashable {
    public let seq: Int64
    public let message: String
}

/// The fold of a run's log: everything that a decision about the run needs, and nothing that is not in the log.
public struct RunState: Sendable, Hashable {
    public private(set) var status: RunStatus = .queued
    /// The last seq that was seen, deltas included.
    public private(set) var lastSeq: Int64 = 0
    public private(set) var claimNumber: Int32 = 0
    /// Claims of crashed workers' runs since the last completed step.
    public private(set) var recoveries = 0
    /// Number of the last step that was started, from 1; 0 before the first.
    public private(set) var step = 0
    /// The step was started and has no `assistant.message` yet.
    public private(set) var isStepOpen = false
    /// Deltas after this seq belong to the open step.
    public private(set) var stepStartSeq: Int64 = 0
    public private(set) var calls: [CallState] = []
    /// Calls that were requested of targets in this run, by the rules that count them.
    public private(set) var callsByRule: [String: Int] = [:]
    /// Runs that calls of this one started, over its whole life.
    public private(set) var childCount = 0
    /// nil: no call started it.
    public private(set) var parent: RunParent?
    public private(set) var usage = TokenUsage()
    public private(set) var isCancelRequested = false
    public private(set) var cancelReason: String?
    public private(set) var error: ToolError?
    public private(set) var created: RawJSON?
    /// Bytes of the events that were folded, deltas not counted: about what the fold takes in memory.
    public private(set) var foldedBytes = 0
    /// Turns before the calls of the current step.
    private var turns: [ConversationTurn] = []

    public init() {}

    public var openCalls: [CallState] { calls.filter(\.isOpen) }

    /// The conversation so far; results of the current step are in it once every call has its outcome.
    public var conversation: [ConversationTurn] {
        calls.isEmpty || calls.contains(where: \.isOpen) ? turns : turns + calls.map(Self.resultTurn)
    }

    /// What the model said last; nil before it has.
    public var lastText: String? {
        for case .assistant(let text, _) in turns.reversed() { return text }
        return nil
    }

    public func call(_ id: CallID) -> CallState? { calls.first { $0.call.callID == id } }

    /// Deltas up to `seq` were left out of the fold.
    public mutating func skip(to seq: Int64) { lastSeq = max(lastSeq, seq) }

    /// What stands in the log was let in before: an envelope around arguments or a result that were as deep as may be, or around a value of
    /// which secrets were cut, is read in any case. A log that cannot be read would hold its run for ever.
    private static let storedJSON = JSONLimits(maxDepth: 512, rejectsDuplicateKeys: false)

    public mutating func apply(_ event: RunEvent) throws(RunLogFault) {
        guard event.seq > lastSeq else { throw RunLogFault(seq: event.seq, message: "seq \(event.seq) follows \(lastSeq)") }
        guard !status.isTerminal else { throw RunLogFault(seq: event.seq, message: "\(event.type.rawValue) follows the terminal event") }
        guard (event.type == .runCreated) == (lastSeq == 0) else {
            throw RunLogFault(seq: event.seq, message: "a log begins with run.created, and only there")
        }
        lastSeq = event.seq
        guard !event.type.isDelta else { return }
        foldedBytes += event.data.bytes.count
        let data: JSONNode
        do { data = try event.data.document(limits: Self.storedJSON).root } catch {
            throw RunLogFault(seq: event.seq, message: "data is no JSON: \(error)")
        }
        try apply(event, data)
    }

    private mutating func apply(_ event: RunEvent, _ data: JSONNode) throws(RunLogFault) {
        switch event.type {
        case .runCreated:
            created = event.data
            parent = data["parent"].flatMap(RunParent.init(reading:))
            turns = (data["context"]?.elements).map { $0.compactMap(ConversationTurn.init(reading:)) } ?? []
            turns += (data["messages"]?.elements).map { $0.compactMap(ConversationTurn.init(reading:)) } ?? []
        case .runStarted, .runResumed:
            status = .running
            claimNumber = event.claimNumber
            if data["reason"]?.string == "recovered" { recoveries += 1 }
        case .runStatus:
            guard let next = data["status"]?.string.flatMap(RunStatus.init(rawValue:)), !next.isTerminal else {
                throw RunLogFault(seq: event.seq, message: "run.status without a status that is open")
            }
            status = next
        case .stepStarted:
            settleCalls()
            step = data["step"]?.int ?? step + 1
            isStepOpen = true
            stepStartSeq = event.seq
        case .stepRestarted:
            isStepOpen = true
            stepStartSeq = event.seq
        case .assistantMessage:
            applyMessage(data)
        case .toolCallRequested:
            update(event, data) { call in
                call.target = data["target"]?.string.flatMap(ToolTarget.init(rawValue:))
                call.arguments = data["args"]?.rawJSON
                call.timeoutSeconds = data["timeoutSeconds"]?.int
                call.maxResultBytes = data["maxResultBytes"]?.int
                call.isDelivered = data["delivery"] != nil
            }
            for rule in data["countedRules"].map({ Array($0.elements) }) ?? [] {
                if let rule = rule.string { callsByRule[rule, default: 0] += 1 }
            }
        case .toolCallApprovalRequired:
            guard let hash = data["callHash"]?.string else {
                throw RunLogFault(seq: event.seq, message: "an approval without the hash of its call")
            }
            update(event, data) { call in
                call.approval = .pending(callHash: hash)
                // Of a call that was held from the start they stand here first.
                call.arguments = data["args"]?.rawJSON ?? call.arguments
            }
        case .toolCallApproved:
            guard let hash = data["callHash"]?.string else {
                throw RunLogFault(seq: event.seq, message: "an approval without the hash of its call")
            }
            update(event, data) { call in call.approval = .approved(callHash: hash) }
        case .toolCallDispatched:
            update(event, data) { call in
                call.deviceID = data["deviceId"]?.string.flatMap { DeviceID($0) }
                call.dueAt = data["dueAt"]?.string.flatMap { Timestamp(rfc3339: $0) }
                call.childRunID = data["childRunId"]?.string.flatMap { RunID($0) }
                call.dispatches += 1
            }
            if data["childRunId"] != nil { childCount += 1 }
        case .toolResultReceived, .toolCallExpired, .toolCallDenied, .toolCallCanceled:
            guard let (_, outcome) = RunEventData.readOutcome(event, data) else {
                throw RunLogFault(seq: event.seq, message: "\(event.type.rawValue) names no call")
            }
            update(event, data) { call in if call.outcome == nil { call.outcome = outcome } }
        case .runCancelRequested:
            isCancelRequested = true
            cancelReason = data["reason"]?.string
        case .runCompleted: status = .completed
        case .runFailed:
            status = .failed
            error = data["error"].map { ToolError(code: $0["code"]?.string ?? "failed", message: $0["message"]?.string ?? "") }
        case .runCanceled: status = .canceled
        case .assistantDelta, .reasoningDelta: break
        }
    }

    private mutating func applyMessage(_ data: JSONNode) {
        settleCalls()
        isStepOpen = false
        recoveries = 0
        let requested = (data["toolCalls"]?.elements).map { $0.compactMap(RunEventData.readCall) } ?? []
        turns.append(.assistant(text: data["text"]?.string ?? "", calls: requested))
        calls = requested.map { CallState($0) }
        if let used = data["usage"] {
            usage = usage + TokenUsage(inputTokens: used["inputTokens"]?.int ?? 0, outputTokens: used["outputTokens"]?.int ?? 0)
        }
    }

    /// The step is over: its results become turns of the conversation.
    private mutating func settleCalls() {
        turns += calls.map(Self.resultTurn)
        calls = []
    }

    private mutating func update(_ event: RunEvent, _ data: JSONNode, _ change: (inout CallState) -> Void) {
        guard let id = data["callId"]?.string.flatMap({ CallID($0) }),
            let index = calls.firstIndex(where: { $0.call.callID == id })
        else { return }
        change(&calls[index])
    }

    private static func resultTurn(_ call: CallState) -> ConversationTurn {
        let outcome = call.outcome ?? .canceled(reason: "the step ended")
        return .toolResult(
            providerCallID: call.call.providerCallID, name: call.call.name,
            content: outcome.result?.string ?? outcome.error?.json.string ?? "null", isError: outcome.error != nil)
    }
}
