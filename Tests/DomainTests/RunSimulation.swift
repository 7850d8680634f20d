import Domain
import JSON

/// A run in memory, with the rules of Postgres' functions: a log that takes a write only behind what the writer has seen, a
/// projection, and tables of calls and outcomes. Workers come, crash, and go on without knowing that they were fenced.
struct RunSimulation {
    struct Worker {
        var claim: Int32
        var state: RunState
        var isStreaming = false
    }

    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var log: [RunEvent] = []
    /// Folded event by event as they are written, deltas included.
    private(set) var state = RunState()
    private(set) var status = RunStatus.queued
    private var resumeReason: String?
    private var claimNumber: Int32 = 0
    /// The outbox: each call that was asked of a target, and its one outcome.
    var outbox: [CallID: ToolOutcome?] = [:]
    var asked: [(id: CallID, target: ToolTarget)] = []
    private var approvals: [CallID: ApprovalStatus] = [:]
    private var schedules: [CallID: ScheduleChange.Due] = [:]
    var workers: [Worker] = []
    var generator: SeededGenerator
    private let maxSteps: Int

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        maxSteps = Int.random(in: 1...4, using: &generator)
        try append([NewRunEvent(.runCreated, RawJSON("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"))], claim: 0)
    }

    // MARK: The database

    private mutating func append(_ events: [NewRunEvent], claim: Int32) throws {
        for new in events {
            let event = RunEvent(
                seq: Int64(log.count + 1), type: new.type, time: LogBuilder.time, claimNumber: claim, data: new.data)
            log.append(event)
            try state.apply(event)
        }
    }

    mutating func write(_ transition: RunTransition, claim: Int32) throws {
        try require(!status.isTerminal, "a decision was made after the terminal event")
        try require(!transition.events.isEmpty, "a decision without an event")
        try append(transition.events, claim: claim)
        for call in transition.newCalls {
            try require(outbox.updateValue(nil as ToolOutcome?, forKey: call.callID) == nil, "call \(call.callID) was inserted twice")
            asked.append((call.callID, call.target))
        }
        for hold in transition.held {
            try require(outbox[hold.callID] == .some(.none), "a call is held that is not open")
            try require(approvals.updateValue(.pending, forKey: hold.callID) == nil, "call \(hold.callID) was held twice")
        }
        for settled in transition.settled {
            try require(approvals[settled.callID] == .pending, "an approval was settled that was not pending")
            approvals[settled.callID] = settled.status
        }
        for outcome in transition.outcomes {
            guard case .some(.none) = outbox[outcome.callID] else {
                throw Broken(description: "an outcome for a call that is not there or has one")
            }
            outbox[outcome.callID] = .some(outcome.outcome)
        }
        for change in transition.schedules { schedules[change.callID] = change.due == .never ? nil : change.due }
        if let next = transition.status {
            status = next
            resumeReason = transition.resumeReason
        }
        try check()
    }

    private func require(_ condition: Bool, _ what: String) throws {
        guard condition else { throw Broken(description: "\(what); log: \(log.map(\.type.rawValue).joined(separator: " "))") }
    }

    /// What holds after every write.
    private func check() throws {
        try require(state.status == status, "the log says \(state.status), the projection \(status)")
        try require(status != .queued || resumeReason != nil, "queued, and nobody knows why")
        if status == .waitingTool {
            try require(!state.openCalls.isEmpty, "it waits for no call")
            try require(
                !state.openCalls.contains { $0.target == .server && !$0.isAwaitingApproval && $0.dueAt == nil },
                "it waits for a server call")
            try require(!state.isCancelRequested, "it waits although its cancel was requested")
        }
        for call in state.calls where call.target != nil {
            try require((approvals[call.call.callID] == .pending) == call.isAwaitingApproval, "the log and the table of approvals differ")
            try require(call.approval == nil || call.deviceID == nil || call.isApproved, "a device was asked without approval")
        }
        var due: [CallID: ScheduleChange.Due] = [:]
        for call in state.openCalls {
            if let time = call.dueAt { due[call.call.callID] = .at(time) }
            if call.isDelivered, call.dispatches == 0 { due[call.call.callID] = call.isAwaitingApproval ? .held : .now }
        }
        try require(due == schedules, "the log says that \(due) is due, the table \(schedules)")
        if status.isTerminal {
            try require(!approvals.values.contains(.pending), "an approval is pending after the end")
            try require(state.openCalls.isEmpty, "a call is open after the end")
            try require(outbox.values.allSatisfy { $0 != nil }, "a row of the outbox is open after the end")
        }
    }

    // MARK: Workers

    mutating func claim() throws {
        guard status == .queued || status == .running else { return }
        let reason = status == .queued ? resumeReason : nil
        claimNumber += 1
        let number = claimNumber
        let event =
            number == 1
            ? NewRunEvent(.runStarted)
            : NewRunEvent(.runResumed) { $0.field("reason", string: reason ?? "recovered") }
        try append([event], claim: number)
        status = .running
        resumeReason = nil
        var worker = Worker(claim: number, state: RunState())
        try readOn(&worker)
        workers.append(worker)
    }

    /// As a repository folds: deltas are left out, and counted.
    private func readOn(_ worker: inout Worker) throws {
        for event in log[Int(worker.state.lastSeq)...] where !event.type.isDelta { try worker.state.apply(event) }
        worker.state.skip(to: Int64(log.count))
    }

    private func isFenced(_ worker: Worker) -> Bool { worker.state.claimNumber != worker.claim || worker.state.status != .running }

    /// False: the worker was fenced and is gone.
    private mutating func emit(_ index: Int, _ events: [NewRunEvent]) throws -> Bool {
        if workers[index].state.lastSeq != Int64(log.count) {
            try readOn(&workers[index])
            if isFenced(workers[index]) {
                workers.remove(at: index)
                return false
            }
        }
        try append(events, claim: workers[index].claim)
        try readOn(&workers[index])
        return true
    }

    mutating func transition(_ index: Int, _ decide: (RunState, inout SeededGenerator) -> RunTransition?) throws {
        let isStale = workers[index].state.lastSeq != Int64(log.count)
        // Decided on what it knows; a conflict makes it read on and decide again.
        _ = decide(workers[index].state, &generator)
        if isStale {
            try readOn(&workers[index])
            if isFenced(workers[index]) {
                workers.remove(at: index)
                return
            }
        }
        guard let decision = decide(workers[index].state, &generator) else { return }
        try write(decision, claim: workers[index].claim)
        try readOn(&workers[index])
        if workers[index].state.status != .running { workers.remove(at: index) }
    }

    mutating func work(_ index: Int) throws {
        if workers[index].isStreaming {
            if generator.oneIn(2) {
                let type: RunEventType = generator.oneIn(4) ? .reasoningDelta : .assistantDelta
                let deltas = (0..<Int.random(in: 1...3, using: &generator)).map {
                    RunEventData.delta(type, text: "word \($0)", stampNanoseconds: nil)
                }
                _ = try emit(index, deltas)
                return
            }
            workers[index].isStreaming = false
            try finishStep(index)
            return
        }
        switch RunMachine.next(workers[index].state, maxSteps: maxSteps) {
        case .callModel(let step, let discard):
            let event =
                discard.map { RunMachine.stepRestarted(step, discardAfterSeq: $0, reason: "recovered") } ?? RunMachine.stepStarted(step)
            if try emit(index, [event]) { workers[index].isStreaming = true }
        case .runServerCalls(let calls):
            guard let call = calls.randomElement(using: &generator) else { throw Broken(description: "no server call to run") }
            try require(call.approval == nil || call.isApproved, "a call is carried out that nobody approved")
            if call.approval == nil, generator.oneIn(8) {
                let request = ApprovalRequest(expiresSeconds: 60, rules: ["late"], now: LogBuilder.time)
                return try transition(index) { state, _ in RunMachine.requireApproval(request, of: call.call.callID, in: state) }
            }
            if generator.oneIn(4) {
                return try transition(index) { state, _ in RunMachine.schedule(call.call.callID, at: LogBuilder.time, in: state) }
            }
            let outcome: ToolOutcome =
                generator.oneIn(3)
                ? .failed(ToolError(code: "c", message: "m"), source: .server) : .result(RawJSON("{\"ok\":true}"), source: .server)
            try transition(index) { state, _ in RunMachine.record(outcome, of: call.call.callID, in: state) }
        case .end:
            let maxSteps = maxSteps
            try transition(index) { state, _ in
                if case .end(let end) = RunMachine.next(state, maxSteps: maxSteps) { end } else { nil }
            }
        }
    }

    private mutating func finishStep(_ index: Int) throws {
        var requested: [RequestedCall] = []
        var prepared: [PreparedCall] = []
        for number in 0..<(generator.oneIn(3) ? 0 : Int.random(in: 1...3, using: &generator)) {
            let call = RequestedCall(callID: .generate(), providerCallID: "p\(number)", name: "t", arguments: "{}")
            let target = ToolTarget.allCases.randomElement(using: &generator) ?? .server
            let new = NewToolCall(
                callID: call.callID, providerCallID: call.providerCallID, tool: "t", target: target, arguments: .emptyObject, device: nil,
                timeoutSeconds: 60, maxResultBytes: generator.oneIn(3) ? 256 : nil, countedRules: generator.oneIn(2) ? ["r"] : [],
                approval: generator.oneIn(4) ? ApprovalRequest(expiresSeconds: 60, rules: ["a"], now: LogBuilder.time) : nil,
                isDelivered: target == .external && generator.oneIn(2))
            requested.append(call)
            if generator.oneIn(6) {
                prepared.append(
                    .refused(call, tool: nil, outcome: .failed(ToolError(code: "unknown_tool", message: "m"), source: .gateway)))
            } else if generator.oneIn(6) {
                prepared.append(.refused(call, tool: new, outcome: .denied(reason: "no_rule_matched", message: "m")))
            } else {
                prepared.append(.admitted(new))
            }
        }
        let usage = TokenUsage(inputTokens: 2, outputTokens: 3)
        let maxSteps = maxSteps
        try transition(index) { [requested, prepared] state, _ in
            RunMachine.finishStep(
                state,
                message: RunEventData.assistantMessage(
                    step: state.step, text: "text", reasoning: "", calls: requested, usage: usage, finishReason: "stop"),
                calls: prepared, usage: usage, finishReason: "stop", maxSteps: maxSteps)
        }
    }
}
