import Domain
import JSON
import Testing

/// Calls whose outcome is left to a time, or to a system that has taken them.
struct RunScheduleTests {
    private let due = LogBuilder.time.adding(seconds: 60)

    private func asked(_ call: NewToolCall) throws -> (LogBuilder, RunTransition) {
        var log = LogBuilder.created()
        log.add(.runStarted, claim: 1)
        log.add([RunMachine.stepStarted(1)], claim: 1)
        let requested = RequestedCall(callID: call.callID, providerCallID: "p", name: "t", arguments: "{}")
        let usage = TokenUsage(inputTokens: 1, outputTokens: 1)
        let transition = RunMachine.finishStep(
            try log.fold(),
            message: RunEventData.assistantMessage(
                step: 1, text: "", reasoning: "", calls: [requested], usage: usage, finishReason: "stop"),
            calls: [.admitted(call)], usage: usage, finishReason: "stop", maxSteps: 5)
        log.add(transition.events, claim: 1)
        return (log, transition)
    }

    private func call(_ target: ToolTarget, isDelivered: Bool = false, approval: ApprovalRequest? = nil) -> NewToolCall {
        NewToolCall(
            callID: .generate(), providerCallID: "p", tool: "t", target: target, arguments: .emptyObject, device: nil, timeoutSeconds: 60,
            approval: approval, isDelivered: isDelivered)
    }

    @Test func `a timer leaves the worker nothing to do, and its result wakes the run as a timer`() throws {
        let timer = call(.server)
        var (log, transition) = try asked(timer)
        #expect(transition.status == nil && transition.schedules.isEmpty)
        let begun = try #require(RunMachine.schedule(timer.callID, at: due, in: try log.fold()))
        #expect(begun.schedules == [ScheduleChange(timer.callID, .timer, .at(due))])
        log.add(begun.events, claim: 1)
        #expect(RunMachine.schedule(timer.callID, at: due, in: try log.fold()) == nil)
        guard case .end(let rest) = RunMachine.next(try log.fold(), maxSteps: 5) else {
            Issue.record("a worker has something to do")
            return
        }
        #expect(rest.status == .waitingTool)
        log.add(rest.events, claim: 1)
        let fired = try #require(RunMachine.record(.result(.null, source: .server), of: timer.callID, in: try log.fold()))
        #expect(fired.resumeReason == "timer" && fired.status == .queued)
        #expect(fired.schedules == [ScheduleChange(timer.callID, .timer, .never)])
        let canceled = try #require(RunMachine.requestCancel(try log.fold(), reason: nil))
        #expect(canceled.schedules == fired.schedules)
        let expired = try #require(RunMachine.expire(timer.callID, in: try log.fold()))
        #expect(expired.resumeReason == "tool_results" && expired.schedules == fired.schedules)
    }

    @Test func `a call that is posted is due at once, one that waits for a person when he has said yes`() throws {
        let free = call(.external, isDelivered: true)
        #expect(try asked(free).1.schedules == [ScheduleChange(free.callID, .delivery, .now)])
        #expect(try asked(call(.external)).1.schedules.isEmpty)
        let held = call(
            .external, isDelivered: true, approval: ApprovalRequest(expiresSeconds: 60, rules: ["r"], now: LogBuilder.time))
        var (log, transition) = try asked(held)
        #expect(transition.schedules == [ScheduleChange(held.callID, .delivery, .held)])
        #expect(RunMachine.accept(held.callID, attempt: 1, in: try log.fold()) == nil)
        let approved = try #require(RunMachine.approve(held.callID, by: "key:k", in: try log.fold()))
        #expect(approved.schedules == [ScheduleChange(held.callID, .delivery, .now)])
        log.add(approved.events, claim: 0)
        let accepted = try #require(RunMachine.accept(held.callID, attempt: 3, in: try log.fold()))
        #expect(accepted.schedules == [ScheduleChange(held.callID, .delivery, .never)])
        #expect(accepted.events.map(\.type) == [.toolCallDispatched])
        log.add(accepted.events, claim: 0)
        #expect(RunMachine.accept(held.callID, attempt: 4, in: try log.fold()) == nil, "it was taken once")
    }
}
