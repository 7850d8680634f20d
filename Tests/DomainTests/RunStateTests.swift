import Domain
import JSON
import Testing

/// Builds logs by hand, event by event.
struct LogBuilder {
    var events: [RunEvent] = []
    static let time = Timestamp(millisecondsSinceUnixEpoch: 1_795_339_800_125)

    @discardableResult
    mutating func add(_ type: RunEventType, _ data: String = "{}", claim: Int32 = 0) -> RunEvent {
        let event = RunEvent(
            seq: Int64(events.count + 1), type: type, time: Self.time, claimNumber: claim, data: RawJSON(trusted: Array(data.utf8)))
        events.append(event)
        return event
    }

    mutating func add(_ new: [NewRunEvent], claim: Int32) {
        for event in new { add(event.type, event.data.string, claim: claim) }
    }

    func fold() throws -> RunState {
        var state = RunState()
        for event in events { try state.apply(event) }
        return state
    }

    static func created() -> LogBuilder {
        var log = LogBuilder()
        log.add(.runCreated, #"{"messages":[{"role":"user","content":"hi"}]}"#)
        return log
    }
}

struct RunStateTests {
    private func event(_ seq: Int64, _ type: RunEventType, _ data: String = "{}") -> RunEvent {
        RunEvent(seq: seq, type: type, time: LogBuilder.time, claimNumber: 1, data: RawJSON(trusted: Array(data.utf8)))
    }

    @Test func `what was let in at the greatest depth is read back in its envelope, also with a name that stands twice`() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        var log = LogBuilder.created()
        log.add(.runStatus, #"{"status":"running","deep":\#(deep),"a":1,"a":2}"#)
        #expect(try log.fold().lastSeq == 2)
    }

    @Test func `a log that does not begin with its creation is a fault`() {
        for type in RunEventType.allCases where type != .runCreated {
            var state = RunState()
            #expect(throws: RunLogFault.self, "\(type)") { try state.apply(event(1, type, #"{"status":"queued"}"#)) }
        }
    }

    @Test func `a second creation is a fault`() throws {
        var state = try LogBuilder.created().fold()
        #expect(throws: RunLogFault.self) { try state.apply(event(2, .runCreated)) }
    }

    @Test(arguments: [0, 1, 2] as [Int64])
    func `a seq that was seen is a fault`(seq: Int64) throws {
        var state = try LogBuilder.created().fold()
        try state.apply(event(2, .runStarted))
        let fault = #expect(throws: RunLogFault.self) { try state.apply(event(seq, .stepStarted, #"{"step":1}"#)) }
        #expect(fault?.seq == seq)
        #expect(state.lastSeq == 2)
        #expect(state.step == 0)
    }

    @Test(arguments: [RunEventType.runCompleted, .runFailed, .runCanceled])
    func `nothing follows the terminal event`(end: RunEventType) throws {
        for type in RunEventType.allCases where type != .runCreated {
            var state = try LogBuilder.created().fold()
            try state.apply(event(2, end))
            #expect(state.status.isTerminal)
            let before = state
            #expect(throws: RunLogFault.self, "\(type)") { try state.apply(event(3, type, #"{"status":"queued"}"#)) }
            #expect(state == before)
        }
    }

    @Test(arguments: ["{}", #"{"status":"completed"}"#, #"{"status":"nonsense"}"#, #"{"status":7}"#])
    func `a status event must name a status that is open`(data: String) throws {
        var state = try LogBuilder.created().fold()
        #expect(throws: RunLogFault.self) { try state.apply(event(2, .runStatus, data)) }
    }

    @Test(arguments: [RunEventType.toolResultReceived, .toolCallExpired, .toolCallDenied, .toolCallCanceled])
    func `an outcome must name its call`(type: RunEventType) throws {
        var state = try LogBuilder.created().fold()
        #expect(throws: RunLogFault.self) { try state.apply(event(2, type, #"{"callId":"x"}"#)) }
    }

    @Test func `damaged data is a fault that names its seq`() throws {
        var state = try LogBuilder.created().fold()
        #expect(throws: RunLogFault.self) { try state.apply(event(7, .runStarted, "{")) }
    }

    @Test func `skipping moves the last seq forward only`() {
        var state = RunState()
        state.skip(to: 0)
        #expect(state == RunState())
        state.skip(to: 9)
        state.skip(to: 4)
        #expect(state.lastSeq == 9)
    }

    @Test func `results become turns of the conversation once every call has its outcome`() throws {
        var log = LogBuilder.created()
        let calls = (0..<2).map { RequestedCall(callID: .generate(), providerCallID: "p\($0)", name: "t\($0)", arguments: "{}") }
        log.add(.runStarted, claim: 1)
        log.add([RunMachine.stepStarted(1)], claim: 1)
        log.add(
            [
                RunEventData.assistantMessage(
                    step: 1, text: "let me see", reasoning: "", calls: calls, usage: TokenUsage(inputTokens: 3, outputTokens: 4),
                    finishReason: "tool_calls")
            ], claim: 1)
        log.add([RunEventData.outcome(.result(RawJSON("{\"a\":1}"), source: .browser), of: calls[0].callID)], claim: 0)
        let half = try log.fold()
        #expect(half.conversation.count == 2)
        #expect(half.openCalls.map(\.call) == [calls[1]])
        #expect(half.usage == TokenUsage(inputTokens: 3, outputTokens: 4))
        log.add([RunEventData.outcome(.expired, of: calls[1].callID)], claim: 0)
        let whole = try log.fold()
        #expect(
            whole.conversation == [
                .message(InitialMessage(role: .user, text: "hi")), .assistant(text: "let me see", calls: calls),
                .toolResult(providerCallID: "p0", name: "t0", content: "{\"a\":1}", isError: false),
                .toolResult(
                    providerCallID: "p1", name: "t1",
                    content: #"{"code":"expired","message":"The tool gave no result before its deadline."}"#, isError: true),
            ])
        log.add([RunMachine.stepStarted(2)], claim: 1)
        #expect(try log.fold().conversation == whole.conversation)
    }

    @Test func `a call keeps its first outcome`() throws {
        var log = LogBuilder.created()
        let call = RequestedCall(callID: .generate(), providerCallID: "p", name: "t", arguments: "{}")
        log.add(.runStarted, claim: 1)
        log.add([RunMachine.stepStarted(1)], claim: 1)
        log.add(
            [
                RunEventData.assistantMessage(
                    step: 1, text: "", reasoning: "r", calls: [call], usage: TokenUsage(), finishReason: "tool_calls")
            ],
            claim: 1)
        log.add([RunEventData.outcome(.canceled(reason: "x"), of: call.callID)], claim: 0)
        log.add([RunEventData.outcome(.result(.null, source: .device), of: call.callID)], claim: 0)
        #expect(try log.fold().call(call.callID)?.outcome == .canceled(reason: "x"))
    }

    @Test(
        arguments: [
            .result(RawJSON("[1]"), source: .device), .failed(ToolError(code: "c", message: "m"), source: .external), .expired,
            .denied(reason: "no_rule_matched", message: "Denied."), .canceled(reason: "why"),
        ] as [ToolOutcome])
    func `an outcome reads back from its event as it was written`(outcome: ToolOutcome) throws {
        var log = LogBuilder.created()
        let call = RequestedCall(callID: .generate(), providerCallID: "p", name: "t", arguments: "not json \u{1}\"")
        log.add(
            [RunEventData.assistantMessage(step: 1, text: "", reasoning: "", calls: [call], usage: TokenUsage(), finishReason: "stop")],
            claim: 1)
        log.add([RunEventData.outcome(outcome, of: call.callID)], claim: 0)
        let state = try log.fold()
        #expect(state.calls.first?.call == call)
        #expect(state.calls.first?.outcome == outcome)
    }

    @Test func `an envelope is one line with the run, the seq, the type, the time and the data`() {
        let run = RunID.generate()
        var bytes: [UInt8] = []
        event(7, .assistantDelta, #"{"text":"a\nb"}"#).appendEnvelope(run: run, to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"runId":"\#(run)","seq":7,"type":"assistant.delta","ts":"2026-11-22T09:30:00.125Z","data":{"text":"a\nb"}}"#)
    }
}
