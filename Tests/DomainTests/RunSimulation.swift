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
    private var outbox: [CallID: ToolOutcome?] = [:]
    private var asked: [(id: CallID, target: ToolTarget)] = []
    private var approvals: [CallID: ApprovalStatus] = [:]
    private var workers: [Worker] = []
    private var generator: SeededGenerator
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

    private mutating func write(_ transition: RunTransition, claim: Int32) throws {
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
            try require(!state.openCalls.contains { $0.target == .server && !$0.isAwaitingApproval }, "it waits for a server call")
            try require(!state.isCancelRequested, "it waits although its cancel was requested")
        }
        for call in state.calls where call.target != nil {
            try require((approvals[call.call.callID] == .pending) == call.isAwaitingApproval, "the log and the table of approvals differ")
            try require(call.approval == nil || call.deviceID == nil || call.isApproved, "a device was asked without approval")
        }
        if status.isTerminal {
            try require(!approvals.values.contains(.pending), "an approval is pending after the end")
            try require(state.openCalls.isEmpty, "a call is open after the end")
            try require(outbox.values.allSatisfy { $0 != nil }, "a row of the outbox is open after the end")
        }
    }

    // MARK: Workers

    private mutating func claim() throws {
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

    private mutating func transition(_ index: Int, _ decide: (RunState, inout SeededGenerator) -> RunTransition?) throws {
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

    private mutating func work(_ index: Int) throws {
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
                approval: generator.oneIn(4) ? ApprovalRequest(expiresSeconds: 60, rules: ["a"], now: LogBuilder.time) : nil)
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

    // MARK: What happens

    /// One random event of the world. Facts from outside are decided on a fold of their own.
    mutating func happen() throws {
        switch Int.random(in: 0..<23, using: &generator) {
        case 0..<11:
            if workers.isEmpty {
                try claim()
            } else {
                try work(Int.random(in: workers.indices, using: &generator))
            }
        case 11..<15:
            // Also calls of steps long past, and a second answer to the same call.
            guard let call = asked.randomElement(using: &generator), call.target != .server else { return }
            let outcome: ToolOutcome =
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: .expired
                case 1: .denied(reason: "approval_expired", message: "m")
                case 2: .failed(ToolError(code: "c", message: "m"), source: .browser)
                default: .result(RawJSON("[1]"), source: .browser)
                }
            if let decision = RunMachine.record(outcome, of: call.id, in: state) { try write(decision, claim: 0) }
        case 15:
            guard let call = asked.randomElement(using: &generator) else { return }
            if let decision = RunMachine.dispatch(call.id, to: .generate(), in: state) { try write(decision, claim: 0) }
        case 16:
            if !workers.isEmpty, generator.oneIn(2) {
                try transition(workers.count - 1) { state, _ in RunMachine.handBack(state) }
            }
        case 17:
            // A crash: the worker is gone, and its lease runs out.
            if !workers.isEmpty, generator.oneIn(2) { workers.remove(at: Int.random(in: workers.indices, using: &generator)) }
        case 18:
            // The lease ran out while the worker still believes in it.
            if status == .running, generator.oneIn(2) { try claim() }
        case 19..<22:
            // A person, or the clock; also about calls that nobody is asked of, and twice.
            guard let call = asked.randomElement(using: &generator) else { return }
            let decision =
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: RunMachine.denyApproval(call.id, message: "no", in: state)
                case 1 where state.call(call.id)?.isAwaitingApproval == true: RunMachine.expire(call.id, in: state)
                default: RunMachine.approve(call.id, by: "key:k", in: state)
                }
            if let decision { try write(decision, claim: 0) }
        default:
            guard generator.oneIn(4) else { return }
            if let decision = RunMachine.requestCancel(state, reason: "enough") { try write(decision, claim: 0) }
        }
    }

    /// Fair weather from here on: every run comes to its end.
    mutating func end() throws {
        for _ in 0..<400 {
            if status.isTerminal { return }
            if status == .waitingTool {
                guard let call = state.openCalls.first,
                    let decision = call.isAwaitingApproval
                        ? generator.oneIn(2)
                            ? RunMachine.approve(call.call.callID, by: "key:k", in: state) : RunMachine.expire(call.call.callID, in: state)
                        : RunMachine.record(.result(.null, source: .browser), of: call.call.callID, in: state)
                else { throw Broken(description: "it waits for a call that takes no outcome") }
                try write(decision, claim: 0)
            } else if let index = workers.indices.last {
                try work(index)
            } else {
                try claim()
            }
        }
        throw Broken(description: "the run does not end; log: \(log.map(\.type.rawValue).joined(separator: " "))")
    }
}
