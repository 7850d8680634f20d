import Domain
import JSON
import Testing

struct RunMachineTests {
    /// A run of one claim, in the middle of its first step.
    private func log(inStep step: Int = 1) -> LogBuilder {
        var log = LogBuilder.created()
        log.add(.runStarted, claim: 1)
        log.add([RunMachine.stepStarted(step)], claim: 1)
        return log
    }

    private func call(_ target: ToolTarget) -> NewToolCall {
        NewToolCall(
            callID: .generate(), providerCallID: "p", tool: "t", target: target, arguments: .emptyObject,
            device: target == .device ? DeviceSelector(deviceKey: "k") : nil, timeoutSeconds: 60)
    }

    private func finish(_ log: inout LogBuilder, _ calls: [PreparedCall], maxSteps: Int = 10) throws -> RunTransition {
        let state = try log.fold()
        let requested = calls.map { prepared in
            switch prepared {
            case .admitted(let new): RequestedCall(callID: new.callID, providerCallID: "p", name: "t", arguments: "{}")
            case .refused(let requested, _, _): requested
            }
        }
        let usage = TokenUsage(inputTokens: 1, outputTokens: 2)
        let transition = RunMachine.finishStep(
            state,
            message: RunEventData.assistantMessage(
                step: state.step, text: "x", reasoning: "", calls: requested, usage: usage, finishReason: "stop"),
            calls: calls, usage: usage, finishReason: "stop", maxSteps: maxSteps)
        log.add(transition.events, claim: 1)
        return transition
    }

    private func types(_ transition: RunTransition?) -> [RunEventType]? { transition?.events.map(\.type) }

    @Test func `a step without calls completes the run`() throws {
        var log = log()
        let transition = try finish(&log, [])
        #expect(types(transition) == [.assistantMessage, .runCompleted])
        #expect(transition.status == .completed)
        #expect(transition.usage == TokenUsage(inputTokens: 1, outputTokens: 2))
        #expect(try log.fold().status == .completed)
    }

    @Test(
        arguments: [
            ([.device], .waitingTool), ([.browser, .external], .waitingTool), ([.server], nil), ([.server, .device], nil),
        ] as [([ToolTarget], RunStatus?)])
    func `a step waits only where nothing is left to do in the worker`(targets: [ToolTarget], status: RunStatus?) throws {
        var log = log()
        let transition = try finish(&log, targets.map { .admitted(call($0)) })
        #expect(transition.status == status)
        #expect(transition.newCalls.map(\.target) == targets)
        #expect(transition.outcomes.isEmpty)
        let requested = targets.map { _ in RunEventType.toolCallRequested }
        #expect(types(transition) == [.assistantMessage] + requested + (status == nil ? [] : [.runStatus]))
    }

    @Test func `a refused call of a known tool is requested and has its outcome, one of an unknown tool has its outcome alone`() throws {
        var log = log()
        let known = call(.device)
        let denied = ToolOutcome.denied(reason: "no_rule_matched", message: "Denied.")
        let unknown = RequestedCall(callID: .generate(), providerCallID: "u", name: "u", arguments: "?")
        let failed = ToolOutcome.failed(ToolError(code: "unknown_tool", message: "No such tool."), source: .gateway)
        let transition = try finish(
            &log,
            [
                .refused(
                    RequestedCall(callID: known.callID, providerCallID: "p", name: "t", arguments: "{}"), tool: known, outcome: denied),
                .refused(unknown, tool: nil, outcome: failed),
            ])
        #expect(types(transition) == [.assistantMessage, .toolCallRequested, .toolCallDenied, .toolResultReceived])
        #expect(transition.newCalls == [known])
        #expect(transition.outcomes == [CallOutcome(callID: known.callID, outcome: denied)])
        #expect(transition.status == nil)
        guard case .callModel(step: 2, discardAfterSeq: nil) = RunMachine.next(try log.fold(), maxSteps: 10) else {
            Issue.record("the model must hear of the refusals")
            return
        }
    }

    @Test func `the last step's calls are canceled and the run fails`() throws {
        var log = log()
        let transition = try finish(&log, [.admitted(call(.device))], maxSteps: 1)
        #expect(types(transition) == [.assistantMessage, .toolCallCanceled, .runFailed])
        #expect(transition.status == .failed)
        #expect(transition.error?.code == "max_steps_reached")
        #expect(transition.newCalls.isEmpty)
        #expect(try log.fold().error?.code == "max_steps_reached")
    }

    @Test func `a cancel that came while the model spoke ends the run with the step`() throws {
        for calls in [[], [PreparedCall.admitted(call(.device))], [.admitted(call(.server))]] {
            var log = log()
            log.add(.runCancelRequested, #"{"reason":"why"}"#)
            let transition = try finish(&log, calls)
            #expect(types(transition) == [.assistantMessage] + calls.map { _ in .toolCallCanceled } + [.runCanceled])
            #expect(transition.status == .canceled)
            #expect(transition.newCalls.isEmpty)
            let state = try log.fold()
            #expect(state.status == .canceled)
            #expect(state.openCalls.isEmpty)
            #expect(state.cancelReason == "why")
        }
    }

    @Test func `the last outcome wakes a run that waits`() throws {
        var log = log()
        let calls = [call(.device), call(.browser)]
        _ = try finish(&log, calls.map { .admitted($0) })
        let first = try #require(RunMachine.record(.result(.null, source: .device), of: calls[0].callID, in: log.fold()))
        #expect(types(first) == [.toolResultReceived])
        #expect(first.status == nil)
        log.add(first.events, claim: 0)
        #expect(try RunMachine.record(.expired, of: calls[0].callID, in: log.fold()) == nil)
        let second = try #require(RunMachine.record(.expired, of: calls[1].callID, in: log.fold()))
        #expect(types(second) == [.toolCallExpired, .runStatus])
        #expect(second.status == .queued)
        #expect(second.resumeReason == "tool_results")
        log.add(second.events, claim: 0)
        #expect(try log.fold().status == .queued)
    }

    @Test func `a result that comes while the worker is still at it changes no status`() throws {
        var log = log()
        let calls = [call(.server), call(.browser)]
        _ = try finish(&log, calls.map { .admitted($0) })
        let transition = try #require(RunMachine.record(.result(.null, source: .browser), of: calls[1].callID, in: log.fold()))
        #expect(types(transition) == [.toolResultReceived])
        #expect(transition.status == nil)
        log.add(transition.events, claim: 0)
        guard case .runServerCalls(let left) = RunMachine.next(try log.fold(), maxSteps: 10) else {
            Issue.record("the server call is left to do")
            return
        }
        #expect(left.map(\.call.callID) == [calls[0].callID])
    }

    @Test func `an outcome of nobody's call, or of an ended run, is nothing to write`() throws {
        var log = log()
        let call = call(.device)
        _ = try finish(&log, [.admitted(call)])
        #expect(try RunMachine.record(.expired, of: .generate(), in: log.fold()) == nil)
        log.add(try #require(RunMachine.requestCancel(log.fold(), reason: nil)).events, claim: 0)
        #expect(try RunMachine.record(.expired, of: call.callID, in: log.fold()) == nil)
        #expect(try RunMachine.dispatch(call.callID, to: .generate(), in: log.fold()) == nil)
    }

    @Test func `only an open device call that no device has is dispatched`() throws {
        var log = log()
        let calls = [call(.device), call(.browser)]
        let device = DeviceID.generate()
        _ = try finish(&log, calls.map { .admitted($0) })
        #expect(try RunMachine.dispatch(calls[1].callID, to: device, in: log.fold()) == nil)
        let transition = try #require(RunMachine.dispatch(calls[0].callID, to: device, in: log.fold()))
        #expect(types(transition) == [.toolCallDispatched])
        #expect(transition.dispatches.map(\.deviceID) == [device])
        #expect(transition.status == nil)
        log.add(transition.events, claim: 0)
        #expect(try log.fold().call(calls[0].callID)?.deviceID == device)
        #expect(try log.fold().call(calls[0].callID)?.dispatches == 1)
        #expect(try RunMachine.dispatch(calls[0].callID, to: .generate(), in: log.fold()) == nil)
    }

    @Test func `a cancel ends a run that rests and asks one that runs`() throws {
        let queued = LogBuilder.created()
        #expect(types(RunMachine.requestCancel(try queued.fold(), reason: "r")) == [.runCancelRequested, .runCanceled])

        var running = log()
        let request = try #require(RunMachine.requestCancel(running.fold(), reason: "r"))
        #expect(types(request) == [.runCancelRequested])
        #expect(request.status == nil)
        running.add(request.events, claim: 0)
        #expect(try RunMachine.requestCancel(running.fold(), reason: "again") == nil)
        guard case .end(let end) = RunMachine.next(try running.fold(), maxSteps: 10) else {
            Issue.record("the worker must end the run")
            return
        }
        #expect(types(end) == [.runCanceled])
        #expect(end.events.last?.data.string.contains(#""reason":"r""#) == true)
        running.add(end.events, claim: 1)
        #expect(try RunMachine.requestCancel(running.fold(), reason: nil) == nil)

        var waiting = log()
        let call = call(.device)
        _ = try finish(&waiting, [.admitted(call)])
        let cancel = try #require(RunMachine.requestCancel(waiting.fold(), reason: nil))
        #expect(types(cancel) == [.runCancelRequested, .toolCallCanceled, .runCanceled])
        #expect(cancel.status == .canceled)
        #expect(cancel.outcomes.map(\.callID) == [call.callID])
    }

    @Test func `only a running run is handed back, and it says why it waits`() throws {
        #expect(try RunMachine.handBack(LogBuilder.created().fold()) == nil)
        var log = log()
        let transition = try #require(RunMachine.handBack(log.fold()))
        #expect(transition.status == .queued)
        #expect(transition.resumeReason == "handed_over")
        log.add(transition.events, claim: 1)
        #expect(try log.fold().status == .queued)
        #expect(try RunMachine.handBack(log.fold()) == nil)
    }

    @Test func `a cut step is asked for again and its deltas are void`() throws {
        var log = log()
        log.add(.assistantDelta, #"{"text":"half a sen"}"#, claim: 1)
        log.add(.runResumed, #"{"reason":"recovered","claimNumber":2}"#, claim: 2)
        guard case .callModel(step: 1, discardAfterSeq: 3) = RunMachine.next(try log.fold(), maxSteps: 10) else {
            Issue.record("the step must be asked for again")
            return
        }
        log.add([RunMachine.stepRestarted(1, discardAfterSeq: 3, reason: "recovered")], claim: 2)
        #expect(try log.fold().stepStartSeq == 6)
    }

    @Test func `a run that is taken up too often without progress fails, and progress starts the count anew`() throws {
        var log = log()
        for claim in 2...Int32(1 + Limits.maxRecoveriesWithoutProgress) { log.add(.runResumed, #"{"reason":"recovered"}"#, claim: claim) }
        guard case .callModel = RunMachine.next(try log.fold(), maxSteps: 10) else {
            Issue.record("the bound is not reached")
            return
        }
        var progressed = log
        _ = try finish(&progressed, [.admitted(call(.server))])
        #expect(try progressed.fold().recoveries == 0)
        log.add(.runResumed, #"{"reason":"recovered"}"#, claim: 9)
        guard case .end(let end) = RunMachine.next(try log.fold(), maxSteps: 10) else {
            Issue.record("the run must fail")
            return
        }
        #expect(end.status == .failed)
        #expect(end.error?.code == "too_many_recoveries")
    }

    @Test func `a failure cancels every open call`() throws {
        var log = log()
        let calls = [call(.device), call(.browser)]
        _ = try finish(&log, calls.map { .admitted($0) })
        let transition = RunMachine.failed(try log.fold(), code: "deadline_exceeded", message: "Late.")
        #expect(types(transition) == [.toolCallCanceled, .toolCallCanceled, .runFailed])
        #expect(transition.outcomes.map(\.callID) == calls.map(\.callID))
        #expect(transition.status == .failed)
    }

    @Test func `counts of tokens that no model can mean add up to the most, and end nothing`() {
        let most = TokenUsage(inputTokens: .max, outputTokens: .max)
        let sum = most + TokenUsage(inputTokens: 1, outputTokens: 1)
        #expect(sum.inputTokens == .max && sum.outputTokens == .max && sum.total == .max)
    }
}
